import '@/styles/editor.css'
import { AppWindow, PanelLeftClose, PanelLeftOpen } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useSearchParams } from 'react-router'
import { useList } from '@/api/hooks'
import type { Connection, RelationEntry } from '@/api/types'
import { Button } from '@/components/ui/Button'
import { usePageTitle } from '@/components/ui/Page'
import { Empty, Skeleton } from '@/components/ui/States'
import { toUtf16 } from '@/lib/code-points'
import type { RunScope } from '@/lib/editor-messages.gen'
import { readStored, writeStored } from '@/lib/storage'
import { useEngines } from '@/modules/databases/engines'
import { LineBanner, TabNotes } from './banners'
import { Results } from './results'
import { SplitHandle } from './split'
import { SqlEditor, type SqlEditorHandle } from './sql-editor'
import { useEditor, type EditorStore } from './store'
import { EditorTabs } from './tabs'
import { windowStore } from './window'
import { Toolbar, TransactionBar } from './toolbar'
import { ObjectTree } from './tree'

export function EditorPage() {
  const { t } = useTranslation()
  usePageTitle(t('nav.editor'))
  const [store] = useState(windowStore)
  const ready = useEditor(store, (state) => state.ready)
  const line = useEditor(store, (state) => state.line)
  useConnectionFromAddress(store, ready)
  if (line === 'taken') return <Taken store={store} />
  if (!ready) {
    return (
      <div className="qk-editor-wait">
        <LineBanner store={store} />
        {line === 'connecting' || line === 'open' ? <Skeleton rows={8} label={t('editor.opening')} /> : null}
      </div>
    )
  }
  return <Workbench store={store} />
}

/** Another browser tab works in this window; nothing can be typed here that would be lost. */
export function Taken({ store }: { store: EditorStore }) {
  const { t } = useTranslation()
  return (
    <div role="alert">
      <Empty icon={AppWindow} title={t('taken.title')} text={t('taken.text')}>
        <Button type="primary" onClick={() => store.reconnect()}>
          {t('line.takeBack')}
        </Button>
        <Button onClick={() => store.startAnew()}>{t('taken.new')}</Button>
      </Empty>
    </div>
  )
}

/** `/editor?connection=ID` opens a tab on that connection, once; `&text=` fills it in. */
function useConnectionFromAddress(store: EditorStore, ready: boolean): void {
  const [params, setParams] = useSearchParams()
  const wanted = params.get('connection')
  const text = params.get('text') ?? ''
  useEffect(() => {
    if (!ready || !wanted) return
    const { tabs } = store.get()
    const empty = tabs.find((tab) => tab.text === '' && (tab.connection_id === '' || tab.connection_id === wanted))
    const same = text ? undefined : tabs.find((tab) => tab.connection_id === wanted)
    if (same) store.selectTab(same.tab_id)
    else if (empty) {
      if (text) store.edit(empty.tab_id, { text })
      store.selectTab(empty.tab_id)
      void store.openSession(empty.tab_id, wanted)
    } else store.addTab(wanted, text)
    setParams({}, { replace: true })
  }, [ready, wanted, text, store, setParams])
}

function stored(key: string, fallback: number): number {
  const value = Number(readStored(key))
  return Number.isFinite(value) && value > 0 ? value : fallback
}

function Workbench({ store }: { store: EditorStore }) {
  const { t } = useTranslation()
  const tabs = useEditor(store, (state) => state.tabs)
  const activeId = useEditor(store, (state) => state.activeTab)
  const runs = useEditor(store, (state) => state.runs)
  const sessions = useEditor(store, (state) => state.sessions)
  const shownAll = useEditor(store, (state) => state.shown)
  const editor = useRef<SqlEditorHandle>(null)
  const [treeOpen, setTreeOpen] = useState(readStored('editor.tree') !== 'closed' && window.innerWidth > 900)
  const [treeWidth, setTreeWidth] = useState(stored('editor.treeWidth', 248))
  const [resultHeight, setResultHeight] = useState(stored('editor.resultHeight', Math.round(window.innerHeight * 0.46)))
  const connections = useList<Connection>('connections')
  const engines = useEngines()
  const tab = tabs.find((item) => item.tab_id === activeId) ?? tabs[0]

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.altKey && !event.ctrlKey && !event.metaKey && event.code === 'KeyN') {
        event.preventDefault()
        store.addTab(tab?.connection_id ?? '')
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [store, tab?.connection_id])

  if (!tab) return <Skeleton rows={8} />
  const session = sessions[tab.tab_id]
  const connection = connections.rows.find((item) => item.id === tab.connection_id)
  // Only what the person can reach is asked for: a tab may outlive its connection or grant.
  const reachable = connection !== undefined || connections.hasNextPage
  const gone = tab.connection_id !== '' && !reachable && connections.isSuccess && !connections.isFetching
  const readable = reachable ? tab.connection_id : ''
  const run = runs[tab.tab_id]
  const engine = session?.engine ?? connection?.engine ?? ''
  const start = (scope: RunScope, text: string, offset: number) => void store.run(tab.tab_id, scope, text, offset)
  const goTo = (offsetInRun: number) => {
    if (!run) return
    editor.current?.goTo(toUtf16(tab.text, run.offset + offsetInRun))
  }
  const openRelation = (entry: RelationEntry) => {
    const text = `SELECT * FROM ${engines.quoted(entry.schema, engine)}.${engines.quoted(entry.name, engine)} LIMIT 200`
    const gap = tab.text.trim() === '' ? '' : `${tab.text.replace(/[\s;]*$/, '')};\n\n`
    store.edit(tab.tab_id, { text: gap + text, cursor: (gap + text).length })
    void store.run(tab.tab_id, 'current', text, [...gap].length)
  }
  return (
    <div className="qk-editor">
      <LineBanner store={store} />
      <div className="qk-editor-main">
        {treeOpen ? (
          <>
            <aside className="qk-editor-side" style={{ width: treeWidth }} aria-label={t('tree.title')}>
              <div className="qk-side-head">
                <b>{connection?.name ?? t('tree.title')}</b>
                <span className="qk-spacer" />
                <button
                  type="button"
                  className="qk-icon-button"
                  aria-label={t('tree.hide')}
                  title={t('tree.hide')}
                  onClick={() => {
                    setTreeOpen(false)
                    writeStored('editor.tree', 'closed')
                  }}
                >
                  <PanelLeftClose size={15} aria-hidden />
                </button>
              </div>
              {gone ? (
                <p className="qk-tree-note">{t('tree.gone')}</p>
              ) : (
                <ObjectTree key={readable} connectionId={readable} onInsert={(text) => editor.current?.insert(text)} onOpen={openRelation} />
              )}
            </aside>
            <SplitHandle
              direction="column"
              label={t('tree.resize')}
              value={treeWidth}
              min={170}
              max={560}
              onChange={setTreeWidth}
              onDone={(value) => writeStored('editor.treeWidth', String(value))}
            />
          </>
        ) : (
          <button
            type="button"
            className="qk-icon-button qk-tree-open"
            aria-label={t('tree.show')}
            title={t('tree.show')}
            onClick={() => {
              setTreeOpen(true)
              writeStored('editor.tree', null)
            }}
          >
            <PanelLeftOpen size={15} aria-hidden />
          </button>
        )}
        <div className="qk-editor-work">
          <EditorTabs store={store} connections={connections.rows} />
          <Toolbar store={store} tab={tab} connections={connections.rows} loading={connections.isPending} onRun={(scope) => editor.current?.run(scope)} />
          <TabNotes store={store} tab={tab} />
          <div className="qk-editor-text">
            <SqlEditor
              key={tab.tab_id}
              ref={editor}
              text={tab.text}
              cursor={tab.cursor}
              engine={engine}
              engines={engines}
              connectionId={readable}
              run={run}
              onEdit={(part) => store.edit(tab.tab_id, part)}
              onRun={start}
              onCancel={() => void store.cancel(tab.tab_id)}
            />
          </div>
          <TransactionBar store={store} tab={tab} />
          <SplitHandle
            direction="row"
            label={t('editor.resize')}
            value={resultHeight}
            min={120}
            max={1000}
            onChange={setResultHeight}
            onDone={(value) => writeStored('editor.resultHeight', String(value))}
          />
          <div className="qk-editor-results" style={{ height: resultHeight }}>
            {run ? (
              <Results
                key={run.run_id}
                store={store}
                run={run}
                shown={shownAll[tab.tab_id] ?? 'messages'}
                session={session}
                onShow={(view) => store.show(tab.tab_id, view)}
                onGoTo={goTo}
              />
            ) : (
              <Empty title={t('editor.emptyTitle')} text={connections.isSuccess && !connections.rows.some((item) => item.my_access) ? t('my.emptyText') : t('editor.emptyText')} />
            )}
          </div>
        </div>
      </div>
    </div>
  )
}
