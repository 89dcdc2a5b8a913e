/** Reading and writing of resources through the query cache. */

import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query'
import { page, request, withQuery, type Query } from './client'
import type { Entry, Me, Page } from './types'

export function useMe() {
  return useQuery({ queryKey: ['me'], queryFn: () => request<Me>('GET', 'me'), staleTime: 30_000 })
}

/** A cursor-paged list; all pages read so far are in `rows`. */
export function useList<T>(resource: string, query: Query = {}, options: { enabled?: boolean; refetchMs?: number } = {}) {
  const answer = useInfiniteQuery({
    queryKey: ['list', resource, query],
    queryFn: ({ pageParam, signal }) => page<T>(pageParam ?? withQuery(resource, query), signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last: Page<T>) => last.next,
    enabled: options.enabled ?? true,
    refetchInterval: options.refetchMs,
    placeholderData: keepPreviousData,
  })
  const rows = answer.data?.pages.flatMap((item) => item.results) ?? []
  return { ...answer, rows }
}

/** One entry by id. */
export function useEntry<T>(resource: string, id: string | null | undefined, options: { refetchMs?: number } = {}) {
  return useQuery({
    queryKey: ['entry', resource, id],
    queryFn: ({ signal }) => request<T>('GET', `${resource}/${encodeURIComponent(id ?? '')}`, { signal }),
    enabled: Boolean(id),
    refetchInterval: options.refetchMs,
  })
}

/** Create (no id) or replace an entry; lists and the entry are read again afterwards. */
export function useSave<T extends Entry>(resource: string) {
  const cache = useQueryClient()
  return useMutation({
    mutationFn: ({ id, body, etag }: { id?: string; body: unknown; etag?: string }) =>
      id
        ? request<T>('PATCH', `${resource}/${encodeURIComponent(id)}`, { body, etag })
        : request<T>('POST', resource, { body }),
    onSuccess: (saved) => {
      if (saved?.id) cache.setQueryData(['entry', resource, saved.id], saved)
      void cache.invalidateQueries({ queryKey: ['list'] })
      void cache.invalidateQueries({ queryKey: ['entry'] })
    },
  })
}

export function useRemove(resource: string) {
  const cache = useQueryClient()
  return useMutation({
    mutationFn: ({ id, etag }: { id: string; etag?: string }) =>
      request<void>('DELETE', `${resource}/${encodeURIComponent(id)}`, { etag }),
    onSuccess: (_answer, { id }) => {
      // A page that still shows it must not ask for it again; whoever comes back does.
      void cache.invalidateQueries({ queryKey: ['entry', resource, id], refetchType: 'none' })
      void cache.invalidateQueries({ queryKey: ['list'] })
    },
  })
}

/** Any other POST, such as `users/1/unlock`. */
export function useAct<Body = unknown, Answer = unknown>(path: (body: Body) => string, send?: (body: Body) => unknown) {
  const cache = useQueryClient()
  return useMutation({
    mutationFn: (body: Body) => request<Answer>('POST', path(body), { body: send ? send(body) : {} }),
    onSuccess: () => {
      void cache.invalidateQueries({ queryKey: ['list'] })
      void cache.invalidateQueries({ queryKey: ['entry'] })
    },
  })
}
