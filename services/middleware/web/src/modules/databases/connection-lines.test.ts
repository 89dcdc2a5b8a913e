import { describe, expect, it } from 'vitest'
import type { Connection, Engine } from '@/api/types'
import { connectionLines } from './connection-lines'

const engine: Engine = {
  name: 'some',
  label: 'Some',
  default_port: 1234,
  dialect: 'some',
  identifier_quote: '"',
  capabilities: [],
  system_schemas: [],
  cli: 'somesql',
  cli_line: 'somesql "host={host} port={port} dbname={database} user={username}{tls}"',
  cli_tls: ' tls=on',
  url: 'some://{username}:{password}@{host}:{port}/{database}',
  jdbc: 'jdbc:some://{host}:{port}/{database}?user={username}&password={password}',
  jdbc_tls: '&tls=on',
}

function connection(change: Partial<Connection> = {}): Connection {
  return { name: 'shop', database: 'shop', tls_required: false, proxy: { host: 'gate', port: 40000 }, ...change } as Connection
}

const texts = (lines: { text: string }[]) => lines.map((line) => line.text)

describe('lines to copy', () => {
  it('leave the password out until one was made', () => {
    expect(texts(connectionLines(connection(), engine, 'kim', null))).toEqual([
      'qk connect shop',
      'somesql "host=gate port=40000 dbname=shop user=kim"',
      'jdbc:some://gate:40000/shop?user=kim',
      'some://kim@gate:40000/shop',
    ])
  })

  it('escape what stands in an address', () => {
    expect(texts(connectionLines(connection(), engine, 'kim', 'a/b@c')).at(-1)).toBe('some://kim:a%2Fb%40c@gate:40000/shop')
  })

  it('demand TLS where the connection does', () => {
    const lines = texts(connectionLines(connection({ tls_required: true }), engine, 'kim', null))
    expect(lines[1]).toBe('somesql "host=gate port=40000 dbname=shop user=kim tls=on"')
    expect(lines[2]).toBe('jdbc:some://gate:40000/shop?user=kim&tls=on')
  })

  it('are the agent alone where no port is open', () => {
    expect(texts(connectionLines(connection({ proxy: null }), engine, 'kim', null))).toEqual(['qk connect shop'])
  })
})
