/**
 * The one WebSocket of an editor window: requests with answers, events, and coming back after a break.
 * What is sent while the line is down fails at once with `disconnected`; nothing is queued, because a
 * statement that runs minutes later is worse than one that does not run.
 */

import {
  PROTOCOL_VERSION,
  type ClientMessage,
  type ServerMessage,
  type WindowOpened,
} from '@/lib/editor-messages.gen'

export type LineState = 'connecting' | 'open' | 'lost' | 'signed_out' | 'taken' | 'outdated'

type WithoutRequest<M> = M extends { request: string } ? Omit<M, 'request'> : never
export type Outgoing = WithoutRequest<ClientMessage>

/** A request that the server did not carry out, or that never reached it. */
export class EditorError extends Error {
  readonly code: string
  readonly nextStep: string

  constructor(code: string, message: string, nextStep = '') {
    super(message)
    this.code = code
    this.nextStep = nextStep
  }
}

interface Waiting {
  resolve: (message: ServerMessage) => void
  reject: (error: EditorError) => void
}

interface Handlers {
  /** What to say first on a new socket. */
  hello: () => { window_id: string; language: string; zone: string }
  onOpened: (message: WindowOpened) => void
  onEvent: (message: ServerMessage) => void
  onState: (state: LineState, retryAt: number | null) => void
}

const FINAL: Record<number, LineState> = { 4401: 'signed_out', 4409: 'taken', 4426: 'outdated' }
const PING_EVERY_MS = 20_000
const PONG_WITHIN_MS = 10_000
const RETRY_MS = [300, 700, 1500, 3000, 5000, 8000]

export class EditorSocket {
  private socket: WebSocket | null = null
  private waiting = new Map<string, Waiting>()
  private counter = 0
  private tries = 0
  private retryTimer = 0
  private pingTimer = 0
  private closed = false
  private opened = false

  constructor(private readonly handlers: Handlers) {
    window.addEventListener('online', this.retryNow)
  }

  /** Open (again); also after the window was taken, to take it back. */
  readonly connect = (): void => {
    window.clearTimeout(this.retryTimer)
    if (this.closed || this.socket) return
    this.handlers.onState('connecting', null)
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws'
    const socket = new WebSocket(`${scheme}://${window.location.host}/ws/editor`)
    this.socket = socket
    socket.onopen = () => {
      this.ask({ type: 'open_window', protocol: PROTOCOL_VERSION, ...this.handlers.hello() }).then(
        (answer) => {
          if (answer.type !== 'window_opened') return
          this.tries = 0
          this.opened = true
          this.handlers.onOpened(answer)
          this.handlers.onState('open', null)
          this.pingTimer = window.setInterval(() => this.ping(), PING_EVERY_MS)
        },
        () => socket.close(),
      )
    }
    socket.onmessage = (event: MessageEvent<string>) => this.receive(JSON.parse(event.data) as ServerMessage)
    socket.onclose = (event) => this.lost(socket, event.code)
  }

  readonly retryNow = (): void => {
    if (!this.socket) this.connect()
  }

  /** Close for good. */
  dispose(): void {
    this.closed = true
    window.clearTimeout(this.retryTimer)
    window.clearInterval(this.pingTimer)
    window.removeEventListener('online', this.retryNow)
    this.socket?.close(1000)
  }

  /** Send a request; the answer, or an `EditorError`. */
  async send<A extends ServerMessage['type']>(message: Outgoing, expected: A): Promise<Extract<ServerMessage, { type: A }>> {
    if (!this.opened) throw new EditorError('disconnected', 'disconnected')
    const answer = await this.ask(message)
    if (answer.type !== expected) throw new EditorError('internal', `unexpected answer ${answer.type}`)
    return answer as Extract<ServerMessage, { type: A }>
  }

  private ask(message: Outgoing): Promise<ServerMessage> {
    const socket = this.socket
    if (!socket || socket.readyState !== WebSocket.OPEN) {
      return Promise.reject(new EditorError('disconnected', 'disconnected'))
    }
    this.counter += 1
    const request = String(this.counter)
    return new Promise((resolve, reject) => {
      this.waiting.set(request, { resolve, reject })
      socket.send(JSON.stringify({ ...message, request }))
    })
  }

  private receive(message: ServerMessage): void {
    if (!('request' in message)) {
      this.handlers.onEvent(message)
      return
    }
    const waiting = this.waiting.get(message.request)
    this.waiting.delete(message.request)
    if (!waiting) return
    if (message.type === 'request_failed') {
      waiting.reject(new EditorError(message.code, message.message, message.next_step))
    } else {
      waiting.resolve(message)
    }
  }

  private ping(): void {
    const socket = this.socket
    const timer = window.setTimeout(() => socket?.close(), PONG_WITHIN_MS)
    this.ask({ type: 'ping' }).then(
      () => window.clearTimeout(timer),
      () => window.clearTimeout(timer),
    )
  }

  private lost(socket: WebSocket, code: number): void {
    if (this.socket !== socket) return
    this.socket = null
    this.opened = false
    window.clearInterval(this.pingTimer)
    const waiting = [...this.waiting.values()]
    this.waiting.clear()
    waiting.forEach((item) => item.reject(new EditorError('disconnected', 'disconnected')))
    if (this.closed) return
    const final = FINAL[code]
    if (final) {
      this.handlers.onState(final, null)
      return
    }
    const delay = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)] ?? 8000
    this.tries += 1
    this.handlers.onState('lost', Date.now() + delay)
    this.retryTimer = window.setTimeout(this.connect, delay)
  }
}
