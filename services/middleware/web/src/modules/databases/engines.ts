/** Engines by the names that connections store. Ports are what a new form fills in. */
export const ENGINES: { name: string; label: string; port: number }[] = [
  { name: 'postgresql', label: 'PostgreSQL', port: 5432 },
  { name: 'mariadb', label: 'MariaDB', port: 3306 },
  { name: 'mysql', label: 'MySQL', port: 3306 },
]

export function engineLabel(name: string): string {
  return ENGINES.find((engine) => engine.name === name)?.label ?? name
}

export const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']
