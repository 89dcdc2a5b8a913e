import {
  Activity,
  CalendarClock,
  Cable,
  Database,
  EyeOff,
  FileSearch,
  HeartPulse,
  History,
  KeyRound,
  LayoutDashboard,
  ListChecks,
  PlugZap,
  ScrollText,
  SquareTerminal,
  UserCog,
  UserRound,
  UsersRound,
  type LucideIcon,
} from 'lucide-react'
import type { Permission } from '@/api/types'

export interface NavEntry {
  to: string
  key: string
  icon: LucideIcon
  /** Any one of these shows it; none: everyone sees it. */
  needs?: Permission[]
}

export const NAVIGATION: { key: string; entries: NavEntry[] }[] = [
  {
    key: 'workspace',
    entries: [
      {
        to: '/overview',
        key: 'overview',
        icon: LayoutDashboard,
        needs: ['users.view', 'policy.view', 'connections.change', 'audit.view'],
      },
      { to: '/editor', key: 'editor', icon: SquareTerminal },
      { to: '/my/connections', key: 'myConnections', icon: PlugZap },
      { to: '/history', key: 'history', icon: History },
    ],
  },
  {
    key: 'databases',
    entries: [{ to: '/connections', key: 'connections', icon: Database, needs: ['connections.view'] }],
  },
  {
    key: 'access',
    entries: [
      { to: '/grants', key: 'grants', icon: KeyRound, needs: ['policy.view'] },
      { to: '/privileges', key: 'privileges', icon: ListChecks, needs: ['policy.view'] },
      { to: '/rules/masking', key: 'rules', icon: EyeOff, needs: ['policy.view'] },
      { to: '/explain', key: 'explain', icon: FileSearch, needs: ['explain.use'] },
    ],
  },
  {
    key: 'people',
    entries: [
      { to: '/users', key: 'users', icon: UserRound, needs: ['users.view'] },
      { to: '/groups', key: 'groups', icon: UsersRound, needs: ['users.view'] },
      { to: '/roles', key: 'roles', icon: UserCog, needs: ['users.view'] },
    ],
  },
  {
    key: 'activity',
    entries: [
      { to: '/audit/statements', key: 'statements', icon: ScrollText, needs: ['audit.view'] },
      { to: '/sessions', key: 'sessions', icon: Cable, needs: ['sessions.view'] },
      { to: '/audit/events', key: 'events', icon: Activity, needs: ['audit.view'] },
    ],
  },
  {
    key: 'operations',
    entries: [
      { to: '/jobs', key: 'jobs', icon: CalendarClock, needs: ['jobs.view'] },
      { to: '/health', key: 'health', icon: HeartPulse, needs: ['jobs.view'] },
    ],
  },
]

export function visible(entry: NavEntry, permissions: Permission[]): boolean {
  return !entry.needs || entry.needs.some((permission) => permissions.includes(permission))
}
