/**
 * Completion from the connection's own catalog: tables by prefix, columns of the tables that the
 * statement names (through aliases), keywords of the dialect. Everything is asked of the server and
 * kept for a while; nothing reads a whole catalog.
 */

import type { CompletionContext, CompletionResult, Completion } from '@codemirror/autocomplete'
import { page, request, withQuery } from '@/api/client'
import type { RelationDetail, RelationEntry } from '@/api/types'
import type { Engines } from '@/modules/databases/engines'
import { statementAt } from './statement-at'
import { bare, tablesIn, type NamedTable } from './tables-in'

const KEEP_MS = 60_000

interface Kept<T> {
  at: number
  value: Promise<T>
}

const kept = new Map<string, Kept<unknown>>()

function keep<T>(key: string, read: () => Promise<T>): Promise<T> {
  const old = kept.get(key) as Kept<T> | undefined
  if (old && Date.now() - old.at < KEEP_MS) return old.value
  const value = read()
  kept.set(key, { at: Date.now(), value })
  value.catch(() => kept.delete(key))
  return value
}

export function searchRelations(connectionId: string, search: string): Promise<RelationEntry[]> {
  return keep(`relations ${connectionId} ${search}`, async () => {
    const found = await page<RelationEntry>(withQuery(`connections/${connectionId}/catalog`, { search }))
    return found.results
  })
}

export function readRelation(connectionId: string, schema: string, name: string): Promise<RelationDetail> {
  const path = `connections/${connectionId}/catalog/${encodeURIComponent(schema)}/${encodeURIComponent(name)}`
  return keep(path, () => request<RelationDetail>('GET', path))
}

async function resolve(connectionId: string, table: NamedTable, engines: Engines): Promise<RelationDetail | null> {
  let { schema } = table
  if (!schema) {
    const candidates = await searchRelations(connectionId, table.name)
    const named = candidates.filter((entry) => entry.name.toLowerCase() === table.name.toLowerCase())
    const match = named.find((entry) => !engines.isSystemSchema(entry.schema)) ?? named[0]
    if (!match) return null
    schema = match.schema
    return readRelation(connectionId, schema, match.name)
  }
  return readRelation(connectionId, schema, table.name).catch(() => null)
}

/** The connection's engine among all. */
export interface EngineHere {
  name: string
  engines: Engines
}

export interface CompletionWords {
  masked: string
  refused: string
}

function columnsOf(relation: RelationDetail, engine: EngineHere, words: CompletionWords): Completion[] {
  return relation.columns.map((column) => {
    const mark = column.refused_by.length > 0 ? words.refused : column.masked_by.length > 0 ? words.masked : ''
    return {
      label: column.name,
      apply: engine.engines.quoted(column.name, engine.name),
      type: 'property',
      detail: [column.type_name, mark].filter(Boolean).join(' · '),
      boost: 2,
    }
  })
}

/** A completion source for one connection. */
export function catalogSource(connectionId: string, engine: EngineHere, words: CompletionWords) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const dotted = context.matchBefore(/[\p{L}\p{N}_$"`]+\s*\.\s*[\p{L}\p{N}_$]*/u)
    const word = context.matchBefore(/[\p{L}\p{N}_$]*/u)
    if (!context.explicit && !dotted && (!word || word.text.length < 1)) return null
    const part = statementAt(context.state, context.pos)
    const statement = part ? context.state.sliceDoc(part.from, part.to) : ''
    const tables = tablesIn(statement)
    try {
      if (dotted) {
        const [left = '', right = ''] = dotted.text.split('.')
        const owner = bare(left.trim())
        const from = context.pos - right.trimStart().length
        const named = tables.find((table) => (table.alias || table.name).toLowerCase() === owner.toLowerCase())
        if (named) {
          const relation = await resolve(connectionId, named, engine.engines)
          return relation ? { from, options: columnsOf(relation, engine, words), validFor: /^[\p{L}\p{N}_$]*$/u } : null
        }
        const inSchema = (await searchRelations(connectionId, right.trim() || owner)).filter(
          (entry) => entry.schema.toLowerCase() === owner.toLowerCase(),
        )
        return { from, options: inSchema.map((entry) => ({ label: entry.name, apply: engine.engines.quoted(entry.name, engine.name), type: 'class' })) }
      }
      const prefix = word?.text ?? ''
      const [relations, details] = await Promise.all([
        searchRelations(connectionId, prefix),
        Promise.all(tables.slice(0, 8).map((table) => resolve(connectionId, table, engine.engines))),
      ])
      const options: Completion[] = details.flatMap((relation) => (relation ? columnsOf(relation, engine, words) : []))
      for (const table of tables) if (table.alias) options.push({ label: table.alias, type: 'variable', detail: table.name })
      for (const entry of relations) {
        if (engine.engines.isSystemSchema(entry.schema) && (prefix.length < 3 || !entry.name.startsWith(prefix.toLowerCase()))) continue
        options.push({ label: entry.name, apply: engine.engines.quoted(entry.name, engine.name), type: 'class', detail: entry.schema, boost: 1 })
      }
      return { from: word?.from ?? context.pos, options }
    } catch {
      return null
    }
  }
}
