/**
 * The one place that speaks to the API: same origin, session cookie, CSRF header on writes,
 * RFC 9457 problems as `ApiError`.
 */

import type { Page } from './types'

export interface FieldErrors {
  [field: string]: string[]
}

/** A refusal or failure of the API. `status` 0: the server could not be reached. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly fields: FieldErrors
  readonly requestId: string

  constructor(
    status: number,
    code: string,
    title: string,
    detail = '',
    fields: FieldErrors = {},
    requestId = '',
  ) {
    super(title)
    this.status = status
    this.code = code
    this.detail = detail
    this.fields = fields
    this.requestId = requestId
  }
}

const BASE = '/api/v1/'
let csrfToken: string | null = null
let onSignedOut: (() => void) | null = null

/** Called when any request is answered 401: the session is over. */
export function setSignedOutHandler(handler: (() => void) | null): void {
  onSignedOut = handler
}

/** The session is over, as another road to the server found out. */
export function tellSignedOut(): void {
  onSignedOut?.()
}

/** Forget the CSRF token (after signing in or out it is another one). */
export function resetCsrf(): void {
  csrfToken = null
}

async function csrf(): Promise<string> {
  if (csrfToken === null) {
    const answer = await request<{ token: string }>('GET', 'auth/csrf')
    csrfToken = answer.token
  }
  return csrfToken
}

export type Query = Record<string, string | number | boolean | null | undefined | string[]>

/** `users?search=kim`, without what is empty. */
export function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === '') continue
    if (Array.isArray(value)) value.forEach((item) => parameters.append(name, item))
    else parameters.set(name, String(value))
  }
  const text = parameters.toString()
  return text ? `${path}?${text}` : path
}

interface Options {
  body?: unknown
  etag?: string | null
  signal?: AbortSignal
}

/** Send one request; returns the parsed JSON, or undefined for an empty answer. */
export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options)
  if (response.status === 204) return undefined as T
  const text = await response.text()
  return (text ? JSON.parse(text) : undefined) as T
}

async function send(method: string, path: string, options: Options, again = true): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (options.body !== undefined) headers['Content-Type'] = 'application/json'
  if (method !== 'GET') headers['X-CSRFToken'] = await csrf()
  if (options.etag) headers['If-Match'] = options.etag
  let response: Response
  try {
    response = await fetch(path.startsWith('/') ? path : BASE + path, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: 'same-origin',
      signal: options.signal,
    })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, 'unreachable', 'unreachable')
  }
  if (response.ok) return response
  const failure = await problem(response)
  if (failure.code === 'csrf_failed' && again) {
    csrfToken = null
    return send(method, path, options, false)
  }
  if (failure.status === 401 && !path.startsWith('auth/')) onSignedOut?.()
  throw failure
}

async function problem(response: Response): Promise<ApiError> {
  const requestId = response.headers.get('X-Request-Id') ?? ''
  const text = await response.text()
  try {
    const body = JSON.parse(text) as {
      code?: string
      title?: string
      detail?: string
      fields?: FieldErrors | Record<string, string>
      request_id?: string
    }
    const fields: FieldErrors = {}
    for (const [name, value] of Object.entries(body.fields ?? {})) {
      fields[name] = Array.isArray(value) ? value.map(String) : [String(value)]
    }
    return new ApiError(
      response.status,
      body.code ?? `http_${response.status}`,
      body.title ?? response.statusText,
      body.detail ?? '',
      fields,
      body.request_id ?? requestId,
    )
  } catch {
    return new ApiError(response.status, `http_${response.status}`, response.statusText, '', {}, requestId)
  }
}

/** Read one page of a list; `next` of the page above is followed by path and query only. */
export function page<T>(pathOrNext: string, signal?: AbortSignal): Promise<Page<T>> {
  let path = pathOrNext
  if (/^https?:/.test(path)) {
    const url = new URL(path)
    path = url.pathname + url.search
  }
  return request<Page<T>>('GET', path, { signal })
}
