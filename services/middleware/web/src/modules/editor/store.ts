/**
 * The state of an editor window: tabs, sessions, runs. The server's copy is the truth for sessions and
 * runs; for texts it is whoever typed last (`revision`), with a draft in the browser until the server
 * has it.
 */

import { useSyncExternalStore } from 'react'
import type {
  RunScope,
  RunSnapshot,
  ServerMessage,
  SessionEnded,
  SessionInfo,
  TabState,
  WindowOpened,
} from '@/lib/editor-messages.gen'
import { MAX_TAB_CHARACTERS } from '@/lib/editor-messages.gen'
import { newId } from '@/lib/new-id'
import { readStored, writeStored } from '@/lib/storage'
import { applyEvent, preferredView, resultsOf } from './runs'
import { EditorError, EditorSocket, type LineState, type Outgoing } from './socket'

export interface EditorState {
  line: LineState
  retryAt: number | null
  /** The window's state has been read at least once. */
  ready: boolean
  tabs: TabState[]
  activeTab: string
  sessions: Record<string, SessionInfo>
  opening: Record<string, boolean>
  ended: Record<string, SessionEnded>
  problems: Record<string, EditorError>
  runs: Record<string, RunSnapshot>
  /** Local clock at the start of a run, for the running time. */
  startedLocal: Record<string, number>
  shown: Record<string, string>
  unsaved: Record<string, boolean>
}

const EMPTY: EditorState = {
  line: 'connecting',
  retryAt: null,
  ready: false,
  tabs: [],
  activeTab: '',
  sessions: {},
  opening: {},
  ended: {},
  problems: {},
  runs: {},
  startedLocal: {},
  shown: {},
  unsaved: {},
}

const SAVE_AFTER_MS = 700

export class EditorStore {
  private state: EditorState = EMPTY
  private listeners = new Set<() => void>()
  private saveTimers = new Map<string, number>()
  private readonly socket: EditorSocket
  private windowId = readStored('editor.window', 'session') ?? ''

  constructor(private readonly page: { language: () => string; tabTitle: (number: number) => string; signedOut: () => void }) {
    this.socket = new EditorSocket({
      hello: () => ({
        window_id: this.windowId,
        language: this.page.language(),
        zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      }),
      onOpened: (message) => this.opened(message),
      onEvent: (message) => this.event(message),
      onState: (line, retryAt) => {
        this.set({ line, retryAt })
        if (line === 'signed_out') this.page.signedOut()
      },
    })
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly get = (): EditorState => this.state

  start(): void {
    this.socket.connect()
  }

  reconnect(): void {
    this.socket.connect()
  }

  /** Leave this window to the browser tab that took it and begin one of its own here. */
  startAnew(): void {
    this.windowId = ''
    writeStored('editor.window', null, 'session')
    this.set({ ...EMPTY })
    this.socket.connect()
  }

  dispose(): void {
    for (const tab of this.state.tabs) if (this.saveTimers.has(tab.tab_id)) void this.saveNow(tab.tab_id)
    this.socket.dispose()
  }

  send<A extends ServerMessage['type']>(message: Outgoing, expected: A) {
    return this.socket.send(message, expected)
  }

  // --- tabs ---------------------------------------------------------------------------------------

  addTab(connectionId = '', text = ''): string {
    const tab: TabState = {
      tab_id: newId(),
      title: this.page.tabTitle(this.nextNumber()),
      connection_id: connectionId,
      text,
      revision: 1,
      cursor: 0,
      auto_commit: true,
    }
    this.set({ tabs: [...this.state.tabs, tab], activeTab: tab.tab_id })
    this.changed(tab.tab_id)
    this.arrange()
    if (connectionId) void this.openSession(tab.tab_id, connectionId)
    return tab.tab_id
  }

  selectTab(tabId: string): void {
    if (tabId === this.state.activeTab) return
    this.set({ activeTab: tabId })
    this.arrange()
  }

  closeTab(tabId: string): void {
    const at = this.state.tabs.findIndex((tab) => tab.tab_id === tabId)
    const tabs = this.state.tabs.filter((tab) => tab.tab_id !== tabId)
    const next = this.state.activeTab === tabId ? (tabs[Math.min(at, tabs.length - 1)]?.tab_id ?? '') : this.state.activeTab
    window.clearTimeout(this.saveTimers.get(tabId))
    this.saveTimers.delete(tabId)
    writeStored(`draft.${tabId}`, null)
    this.set({ tabs, activeTab: next })
    void this.socket.send({ type: 'remove_tab', tab_id: tabId }, 'request_done').catch(() => undefined)
    if (tabs.length === 0) this.addTab()
    else this.arrange()
  }

  /** Text or cursor moved; kept as a draft at once, on the server a little later. */
  edit(tabId: string, part: Partial<Pick<TabState, 'text' | 'cursor' | 'title' | 'auto_commit' | 'connection_id'>>): void {
    const onlyCursor = Object.keys(part).every((key) => key === 'cursor')
    this.set({
      tabs: this.state.tabs.map((tab) =>
        tab.tab_id === tabId ? { ...tab, ...part, revision: onlyCursor ? tab.revision : tab.revision + 1 } : tab,
      ),
    })
    if (!onlyCursor) this.changed(tabId)
  }

  private changed(tabId: string): void {
    const tab = this.tab(tabId)
    if (!tab) return
    writeStored(`draft.${tabId}`, JSON.stringify(tab))
    window.clearTimeout(this.saveTimers.get(tabId))
    this.saveTimers.set(
      tabId,
      window.setTimeout(() => void this.saveNow(tabId), SAVE_AFTER_MS),
    )
    if (!this.state.unsaved[tabId]) this.set({ unsaved: { ...this.state.unsaved, [tabId]: true } })
  }

  private async saveNow(tabId: string): Promise<void> {
    this.saveTimers.delete(tabId)
    const tab = this.tab(tabId)
    if (!tab || tab.text.length > MAX_TAB_CHARACTERS) return
    try {
      const answer = await this.socket.send({ type: 'save_tab', tab }, 'tab_saved')
      const now = this.tab(tabId)
      if (now && answer.revision >= now.revision) {
        writeStored(`draft.${tabId}`, null)
        this.set({ unsaved: { ...this.state.unsaved, [tabId]: false } })
      }
    } catch {
      // The draft stays; it is sent again after the next change or when the line is back.
    }
  }

  private arrange(): void {
    const order: Outgoing = {
      type: 'arrange_tabs',
      tab_ids: this.state.tabs.map((tab) => tab.tab_id),
      active_tab: this.state.activeTab,
    }
    void this.socket.send(order, 'request_done').catch(() => undefined)
  }

  private tab(tabId: string): TabState | undefined {
    return this.state.tabs.find((tab) => tab.tab_id === tabId)
  }

  private nextNumber(): number {
    const used = this.state.tabs.map((tab) => Number(/(\d+)$/.exec(tab.title)?.[1] ?? 0))
    return Math.max(0, ...used) + 1
  }

  // --- sessions and runs --------------------------------------------------------------------------

  async openSession(tabId: string, connectionId: string): Promise<boolean> {
    const tab = this.tab(tabId)
    if (!tab) return false
    if (tab.connection_id !== connectionId) this.edit(tabId, { connection_id: connectionId })
    this.set({
      opening: { ...this.state.opening, [tabId]: true },
      problems: without(this.state.problems, tabId),
      ended: without(this.state.ended, tabId),
    })
    try {
      const answer = await this.socket.send(
        { type: 'open_session', tab_id: tabId, connection_id: connectionId, auto_commit: tab.auto_commit },
        'session_opened',
      )
      this.set({ sessions: { ...this.state.sessions, [tabId]: answer.session } })
      return true
    } catch (error) {
      this.problem(tabId, error)
      return false
    } finally {
      this.set({ opening: without(this.state.opening, tabId) })
    }
  }

  async closeSession(tabId: string): Promise<void> {
    await this.attempt(tabId, { type: 'close_session', tab_id: tabId })
  }

  async run(tabId: string, scope: RunScope, text: string, offset: number): Promise<void> {
    const tab = this.tab(tabId)
    if (!tab || text.trim() === '') return
    if (!this.state.sessions[tabId]) {
      if (!tab.connection_id || !(await this.openSession(tabId, tab.connection_id))) return
    }
    await this.attempt(tabId, { type: 'run_text', tab_id: tabId, run_id: newId(), scope, text, offset })
  }

  cancel(tabId: string): Promise<void> {
    return this.attempt(tabId, { type: 'cancel_run', tab_id: tabId })
  }

  async setAutoCommit(tabId: string, autoCommit: boolean): Promise<void> {
    if (!this.state.sessions[tabId]) {
      this.edit(tabId, { auto_commit: autoCommit })
      return
    }
    if (await this.attempted(tabId, { type: 'set_auto_commit', tab_id: tabId, auto_commit: autoCommit })) {
      this.edit(tabId, { auto_commit: autoCommit })
    }
  }

  endTransaction(tabId: string, commit: boolean): Promise<void> {
    return this.attempt(tabId, { type: 'end_transaction', tab_id: tabId, commit })
  }

  show(tabId: string, view: string): void {
    this.set({ shown: { ...this.state.shown, [tabId]: view } })
  }

  dismiss(tabId: string): void {
    this.set({ problems: without(this.state.problems, tabId), ended: without(this.state.ended, tabId) })
  }

  private async attempt(tabId: string, message: Outgoing): Promise<void> {
    await this.attempted(tabId, message)
  }

  private async attempted(tabId: string, message: Outgoing): Promise<boolean> {
    try {
      await this.socket.send(message, 'request_done')
      this.set({ problems: without(this.state.problems, tabId) })
      return true
    } catch (error) {
      this.problem(tabId, error)
      return false
    }
  }

  private problem(tabId: string, error: unknown): void {
    const known = error instanceof EditorError ? error : new EditorError('internal', String(error))
    this.set({ problems: { ...this.state.problems, [tabId]: known } })
  }

  // --- from the server ----------------------------------------------------------------------------

  private opened(message: WindowOpened): void {
    this.windowId = message.window_id
    writeStored('editor.window', message.window_id, 'session')
    const mine = new Map(this.state.tabs.map((tab) => [tab.tab_id, tab]))
    const tabs: TabState[] = message.tabs.map((theirs) => {
      const local = mine.get(theirs.tab_id) ?? readDraft(theirs.tab_id)
      mine.delete(theirs.tab_id)
      return local && local.revision > theirs.revision ? local : theirs
    })
    // What the server had and has no longer was closed in another browser tab.
    tabs.push(...[...mine.values()].filter((tab) => !message.resumed || this.state.unsaved[tab.tab_id]))
    const runs: Record<string, RunSnapshot> = {}
    const shown: Record<string, string> = { ...this.state.shown }
    for (const run of message.runs) {
      const older = runs[run.tab_id]
      if (older && older.started_at > run.started_at) continue
      runs[run.tab_id] = run
      const view = shown[run.tab_id]
      const known = view && resultsOf(run).some((item) => item.result.result_id === view)
      if (!known) shown[run.tab_id] = preferredView(run)
    }
    const active = [this.state.activeTab, message.active_tab].find((id) => tabs.some((tab) => tab.tab_id === id))
    this.set({
      ready: true,
      tabs,
      activeTab: active ?? tabs[0]?.tab_id ?? '',
      sessions: Object.fromEntries(message.sessions.map((session) => [session.tab_id, session])),
      runs,
      shown,
    })
    if (tabs.length === 0) this.addTab()
    for (const tab of tabs) {
      const theirs = message.tabs.find((item) => item.tab_id === tab.tab_id)
      if (!theirs || theirs.revision < tab.revision) void this.saveNow(tab.tab_id)
    }
  }

  private event(message: ServerMessage): void {
    switch (message.type) {
      case 'run_started': {
        const run: RunSnapshot = {
          run_id: message.run_id,
          tab_id: message.tab_id,
          scope: message.scope,
          text: message.text,
          offset: message.offset,
          state: 'running',
          started_at: message.started_at,
          duration_ms: null,
          statements: [],
          failure: null,
        }
        this.set({
          runs: { ...this.state.runs, [message.tab_id]: run },
          startedLocal: { ...this.state.startedLocal, [message.run_id]: Date.now() },
          shown: { ...this.state.shown, [message.tab_id]: 'messages' },
          problems: without(this.state.problems, message.tab_id),
        })
        return
      }
      case 'statement_started':
      case 'result_started':
      case 'rows_available':
      case 'notice_shown':
      case 'statement_finished':
      case 'run_finished': {
        const run = Object.values(this.state.runs).find((item) => item.run_id === message.run_id)
        if (!run) return
        const next = applyEvent(run, message)
        const showResult = message.type === 'result_started' && resultsOf(run).length === 0
        const showFailure =
          (message.type === 'statement_finished' || message.type === 'run_finished') &&
          (message.failure !== null || (message.state === 'cancelled' && resultsOf(next).every((item) => item.result.rows === 0)))
        this.set({
          runs: { ...this.state.runs, [run.tab_id]: next },
          ...(showResult ? { shown: { ...this.state.shown, [run.tab_id]: message.result_id } } : {}),
          ...(showFailure ? { shown: { ...this.state.shown, [run.tab_id]: 'messages' } } : {}),
        })
        return
      }
      case 'transaction_changed': {
        const session = this.state.sessions[message.tab_id]
        if (!session) return
        this.set({
          sessions: { ...this.state.sessions, [message.tab_id]: { ...session, transaction: message.transaction } },
        })
        return
      }
      case 'session_ended':
        this.set({
          sessions: without(this.state.sessions, message.tab_id),
          ...(message.reason === 'client_closed' && !message.rolled_back
            ? {}
            : { ended: { ...this.state.ended, [message.tab_id]: message } }),
        })
        return
      default:
        return
    }
  }

  private set(part: Partial<EditorState>): void {
    this.state = { ...this.state, ...part }
    this.listeners.forEach((listener) => listener())
  }
}

function without<T>(items: Record<string, T>, key: string): Record<string, T> {
  return Object.fromEntries(Object.entries(items).filter(([name]) => name !== key))
}

function readDraft(tabId: string): TabState | null {
  const text = readStored(`draft.${tabId}`)
  if (!text) return null
  try {
    return JSON.parse(text) as TabState
  } catch {
    return null
  }
}

export function useEditor<T>(store: EditorStore, pick: (state: EditorState) => T): T {
  return useSyncExternalStore(store.subscribe, () => pick(store.get()))
}
