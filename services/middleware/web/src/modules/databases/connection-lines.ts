import type { Connection, Engine } from '@/api/types'

export interface Line {
  label: string
  text: string
}

/** Lines to paste into a terminal or a tool. A password stands in the URL alone, when it was just made. */
export function connectionLines(connection: Connection, engine: Engine | undefined, user: string, password: string | null): Line[] {
  const agent = { label: 'qk', text: `qk connect ${connection.name}` }
  const proxy = connection.proxy
  if (!engine || !proxy?.port) return [agent]
  const tls = connection.tls_required
  const fill = (template: string, escape: (text: string) => string) => {
    const values: Record<string, string> = {
      host: proxy.host,
      port: String(proxy.port),
      database: escape(connection.database),
      username: escape(user),
      password: password === null ? '' : escape(password),
      tls: tls ? engine.cli_tls : '',
    }
    return template.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
  }
  const plain = (text: string) => text
  const withoutPassword = (template: string) => template.replace(/[:&?]?(?:password=)?\{password\}/, '')
  return [
    agent,
    { label: engine.cli, text: fill(engine.cli_line, plain) },
    { label: 'JDBC', text: fill(withoutPassword(engine.jdbc) + (tls ? engine.jdbc_tls : ''), encodeURIComponent) },
    { label: 'URL', text: fill(password === null ? withoutPassword(engine.url) : engine.url, encodeURIComponent) },
  ]
}
