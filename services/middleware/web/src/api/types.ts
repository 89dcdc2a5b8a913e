/** What `/api/v1` carries, as docs/seams.md names it. Times are RFC 3339 text, ids opaque text. */

import type { Reason } from '@/lib/editor-messages.gen'

export interface Page<T> {
  results: T[]
  next: string | null
  previous: string | null
}

export interface Ref {
  id: string
  name: string
}

export interface Entry {
  id: string
  etag?: string
}

export type Permission =
  | 'users.view'
  | 'users.change'
  | 'roles.change'
  | 'connections.view'
  | 'connections.change'
  | 'policy.view'
  | 'policy.change'
  | 'sessions.view'
  | 'sessions.end'
  | 'jobs.view'
  | 'jobs.run'
  | 'audit.view'
  | 'audit.export'
  | 'explain.use'

export const PERMISSIONS: Permission[] = [
  'users.view',
  'users.change',
  'roles.change',
  'connections.view',
  'connections.change',
  'policy.view',
  'policy.change',
  'sessions.view',
  'sessions.end',
  'jobs.view',
  'jobs.run',
  'audit.view',
  'audit.export',
  'explain.use',
]

export interface Me {
  id: string
  username: string
  display_name: string
  email: string
  language: string
  theme: string
  permissions: Permission[]
  /** What this sign-in may do, the scopes over one's own included: what a token of his may carry. */
  scopes: string[]
  groups: Ref[]
  must_change_password: boolean
  session_expires_at: string | null
}

export interface User extends Entry {
  username: string
  display_name: string
  email: string
  language: string
  is_active: boolean
  deactivation_reason: string
  is_locked: boolean
  last_sign_in_at: string | null
  groups: Ref[]
  roles: Ref[]
  created_at: string
}

export interface Group extends Entry {
  name: string
  description: string
  members: Ref[]
  member_count: number
}

export interface Role extends Entry {
  name: string
  description: string
  permissions: Permission[]
  users: Ref[]
  groups: Ref[]
  is_builtin: boolean
}

export interface ApiToken extends Entry {
  name: string
  scopes: string[]
  expires_at: string | null
  user: Ref
  prefix: string
  created_at: string
  last_used_at: string | null
  secret?: string
}

export interface ProxyToken extends Entry {
  name: string
  connection: Ref
  expires_at: string | null
  user: Ref
  username: string
  created_at: string
  last_used_at: string | null
  password?: string
}

export interface Agent extends Entry {
  machine: string
  address: string
  user?: Ref
  created_at: string
  last_used_at: string | null
}

/** An engine that is installed: names, templates and habits of its own. */
export interface Engine {
  name: string
  label: string
  default_port: number
  dialect: string
  identifier_quote: string
  capabilities: string[]
  system_schemas: string[]
  cli: string
  cli_line: string
  cli_tls: string
  url: string
  jdbc: string
  jdbc_tls: string
}

/** Every part of the installation at one moment. */
export interface Health {
  at: string
  ok: boolean
  parts: { name: string; ok: boolean; message: string; duration_ms: number }[]
}

export interface Connection extends Entry {
  name: string
  engine: string
  description: string
  host: string
  port: number
  database: string
  username: string
  tls_mode: string
  tls_ca_pem: string
  tls_required: boolean
  tags: Record<string, string>
  is_enabled: boolean
  server_version: string
  proxy: { host: string; port: number | null } | null
  catalog: {
    version: string
    crawled_at: string | null
    relations: number
    complete: boolean
    state: string
    error: string
  } | null
  health: { state: string; checked_at: string | null; message: string } | null
  my_access: { privilege: string; functions: string[]; valid_until: string | null } | null
}

export interface ProbeStep {
  name: string
  state: 'ok' | 'failed' | 'warning' | 'skipped'
  message: string
  duration_ms: number
}

export interface ProbeReport {
  ok: boolean
  steps: ProbeStep[]
  server_version: string
  flavour: string
}

export interface RelationEntry {
  schema: string
  name: string
  kind: string
  comment?: string
  row_estimate?: number | null
  columns?: number | RelationColumn[]
}

export interface RelationColumn {
  name: string
  type_name: string
  position: number
  nullable: boolean
  default: string | null
  generated?: string | null
  comment: string
  masked_by: RuleMark[]
  refused_by: RuleMark[]
}

export interface RuleMark {
  id: string
  name: string
  code?: string
}

export interface RelationIndex {
  name: string
  columns: string[]
  unique: boolean
  primary: boolean
  definition: string
}

export interface RelationConstraint {
  name: string
  kind: string
  columns: string[]
  definition: string
  ref_schema: string
  ref_table: string
  ref_columns: string[]
}

export interface RelationDetail {
  schema: string
  name: string
  kind: string
  comment: string
  row_estimate: number | null
  definition: string
  columns: RelationColumn[]
  indexes: RelationIndex[]
  constraints: RelationConstraint[]
  refused_by: RuleMark[]
}

export interface Privilege extends Entry {
  name: string
  description: string
  kinds: string[]
  functions: string[]
  is_builtin: boolean
}

export interface ObjectPattern {
  schema: string
  table: string
  column?: string
}

export interface Hours {
  weekdays: number[]
  start: string
  end: string
  zone: string
}

export interface Grant extends Entry {
  user: Ref | null
  group: Ref | null
  connection: Ref
  privilege: Ref
  objects: ObjectPattern[]
  valid_from: string | null
  valid_until: string | null
  hours: Hours | null
  state: 'active' | 'expired' | 'scheduled' | 'dormant'
  last_used_at: string | null
  created_at: string
  created_by: Ref | null
}

export interface AppliesTo {
  everyone: boolean
  users: Ref[]
  groups: Ref[]
}

export interface Exempt {
  users: Ref[]
  groups: Ref[]
}

export interface AccessRule extends Entry {
  code: string
  name: string
  connections: Ref[]
  objects: ObjectPattern[]
  applies_to: AppliesTo
  exempt: Exempt
  is_enabled: boolean
}

export interface Masker {
  kind: string
  params: Record<string, string>
}

export interface MaskerParam {
  name: string
  kind: string
  default: string
  minimum?: number
  maximum?: number
}

export interface MaskerInfo {
  kind: string
  label_en: string
  label_ko: string
  params: MaskerParam[]
  fits: string[]
  example: { value: string; masked: string }
}

export interface MaskingRule extends AccessRule {
  masker: Masker
  relaxations: string[]
}

export interface StatementRule extends AccessRule {
  check: string
  effect: string
  values: string[]
  priority: number
}

export interface LiveSession extends Entry {
  user: Ref
  connection: Ref
  route: string
  client: { address: string; program: string }
  opened_at: string
  state: string
  statement: string
  statement_since: string | null
  rows: number
  bytes: number
  ep: string
}

export interface Job {
  name: string
  titles: { en: string; ko: string }
  descriptions: { en: string; ko: string }
  schedule: string
  every_s: number | null
  can_run_now: boolean
  next_run_at: string | null
  running: boolean
  last_run: JobRun | null
  is_enabled: boolean
  etag?: string
}

export interface JobRun {
  id: string
  state: string
  queued_at: string
  started_at: string | null
  finished_at: string | null
  summary: string
  error: string
  changes: JobChange[]
}

export interface JobChange {
  kind: string
  subject: string
  detail: string
}

export type Verdict = 'allowed' | 'masked' | 'denied' | 'needs_approval' | 'needs_reason'

export interface AppliedRule {
  id: string
  name: string
  kind: string
  effect: string
  code?: string
}

export interface AuditStatement extends Entry {
  started_at: string
  user: Ref
  route: string
  client: { address: string; program: string; version?: string; host_name?: string }
  connection: Ref
  database: string
  statement: string
  kind: string
  objects: string[]
  verdict: Verdict
  rules: AppliedRule[]
  outcome: string | null
  rows: string | null
  bytes: string | null
  duration_ms: number | null
  error: string
  error_code: string
  reason: Reason | null
  digest: string
  session_id: string
  policy_version: string
}

export interface AuditEvent extends Entry {
  at: string
  kind: string
  actor: Ref | null
  subject: (Ref & { kind: string }) | null
  connection: Ref | null
  address: string
  summary: string
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
}

export interface VerifyReport {
  ok: boolean
  records: number
  covered_until: string | null
  findings: Record<string, unknown>[]
}

export interface ExplainAnswer {
  verdict: Verdict
  message: string
  reason: Reason | null
  next_step: string
  kind: string
  objects: string[]
  rules: AppliedRule[]
  masks: {
    ordinal: number
    name: string
    masker: { kind: string }
    rules: string[]
    sources: string[]
  }[]
  trace: { step: string; result: string; text: string; rule?: AppliedRule | null; object?: string }[]
}

export interface AgentLogin {
  machine: string
  address: string
  requested_at: string
  mode: string
  state: string
}
