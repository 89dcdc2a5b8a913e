/** What each engine is like, as the API describes it: the UI itself knows no engine. */

import { useQuery } from '@tanstack/react-query'
import { request } from '@/api/client'
import type { Engine } from '@/api/types'

export const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full']

export class Engines {
  readonly all: Engine[]
  private readonly system: Set<string>

  constructor(all: Engine[]) {
    this.all = all
    this.system = new Set(all.flatMap((engine) => engine.system_schemas))
  }

  get(name: string): Engine | undefined {
    return this.all.find((engine) => engine.name === name)
  }

  label(name: string): string {
    return this.get(name)?.label ?? name
  }

  /** Schemas of the engines themselves: shown last, folded. */
  isSystemSchema(name: string): boolean {
    return this.system.has(name)
  }

  /** People's own schemas first. */
  ordered(names: string[]): string[] {
    return [...names].sort((a, b) => Number(this.isSystemSchema(a)) - Number(this.isSystemSchema(b)) || a.localeCompare(b))
  }

  /** A name as it may stand in a statement; quoted unless it is plain. */
  quoted(name: string, engine: string): string {
    if (/^[a-z_][a-z0-9_]*$/.test(name)) return name
    const mark = this.get(engine)?.identifier_quote ?? '"'
    return mark + name.replaceAll(mark, mark + mark) + mark
  }
}

const NONE = new Engines([])

/** The engines of this installation; empty until they were read. */
export function useEngines(): Engines {
  return (
    useQuery({
      queryKey: ['engines'],
      queryFn: () => request<{ results: Engine[] }>('GET', 'engines'),
      staleTime: Infinity,
      select: asEngines,
    }).data ?? NONE
  )
}

function asEngines(answer: { results: Engine[] }): Engines {
  return new Engines(answer.results)
}
