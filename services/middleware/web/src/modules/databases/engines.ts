/** Engines by the names that connections store. Ports are what a new form fills in. */
export const ENGINES: { name: string; label: string; port: number }[] = [
  { name: 'postgresql', label: 'PostgreSQL', port: 5432 },
  { name: 'mariadb', label: 'MariaDB', port: 3306 },
  { name: 'mysql', label: 'MySQL', port: 3306 },
]

export function engineLabel(name: string): string {
  return ENGINES.find((engine) => engine.name === name)?.label ?? name
}

/** Schemas of the engines themselves: shown last, folded. */
const SYSTEM_SCHEMAS = new Set(['information_schema', 'pg_catalog', 'pg_toast', 'mysql', 'performance_schema', 'sys'])

export function isSystemSchema(name: string): boolean {
  return SYSTEM_SCHEMAS.has(name)
}

/** People's own schemas first. */
export function orderedSchemas(names: string[]): string[] {
  return [...names].sort((a, b) => Number(isSystemSchema(a)) - Number(isSystemSchema(b)) || a.localeCompare(b))
}

export const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']
