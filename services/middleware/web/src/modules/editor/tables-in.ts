/** Tables of a statement by a glance at its words: good enough to complete, never to decide. */
export interface NamedTable {
  schema: string
  name: string
  alias: string
}

/** A name, bare or quoted as either engine quotes. */
const NAME = '(?:"[^"]+"|`[^`]+`|[\\p{L}_][\\p{L}\\p{N}_$]*)'
const TABLES = new RegExp(
  `\\b(?:from|join|update|into|table)\\s+(?:only\\s+)?(${NAME})(?:\\s*\\.\\s*(${NAME}))?(?:\\s+(?:as\\s+)?(${NAME}))?`,
  'giu',
)
const NOT_ALIASES = new Set(
  'where on set using join inner left right full cross natural order group having limit offset union values select as when returning for'.split(' '),
)

/** The name without its quotes. */
export function bare(name: string): string {
  return /^["`]/.test(name) ? name.slice(1, -1) : name
}

/** Tables that a statement names, with their aliases. */
export function tablesIn(statement: string): NamedTable[] {
  const found: NamedTable[] = []
  for (const match of statement.matchAll(TABLES)) {
    const [, first = '', second, aliasText] = match
    const alias = aliasText && !NOT_ALIASES.has(aliasText.toLowerCase()) ? bare(aliasText) : ''
    found.push(second ? { schema: bare(first), name: bare(second), alias } : { schema: '', name: bare(first), alias })
  }
  return found
}
