import { Check, Play, Plug, RotateCcw, Square, Unplug } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import type { Connection } from '@/api/types'
import { Button } from '@/components/ui/Button'
import { useNow } from '@/components/ui/Time'
import type { RunScope, TabState } from '@/lib/editor-messages.gen'
import { formatDuration } from '@/lib/format'
import { Menu } from '@/components/ui/Menu'
import { Select } from '@/components/ui/Select'
import { useEngines } from '@/modules/databases/engines'
import { useEditor, type EditorStore } from './store'

const IDLE_WARNING_MS = 5 * 60_000

export function Toolbar({
  store,
  tab,
  connections,
  loading,
  onRun,
}: {
  store: EditorStore
  tab: TabState
  connections: Connection[]
  loading: boolean
  onRun: (scope: RunScope) => void
}) {
  const { t } = useTranslation()
  const engines = useEngines()
  const session = useEditor(store, (state) => state.sessions[tab.tab_id])
  const opening = useEditor(store, (state) => state.opening[tab.tab_id] ?? false)
  const run = useEditor(store, (state) => state.runs[tab.tab_id])
  const started = useEditor(store, (state) => (run ? state.startedLocal[run.run_id] : undefined))
  const unsaved = useEditor(store, (state) => state.unsaved[tab.tab_id] ?? false)
  const line = useEditor(store, (state) => state.line)
  const running = run?.state === 'running'
  const mine = connections.filter((item) => item.my_access || item.id === tab.connection_id)
  const mac = navigator.userAgent.includes('Mac')
  const manual = session ? !session.transaction.auto_commit : !tab.auto_commit
  return (
    <div className="qk-toolbar" role="toolbar" aria-label={t('editor.toolbar')}>
      {running ? (
        <Button size="small" danger icon={<Square size={12} fill="currentColor" />} onClick={() => void store.cancel(tab.tab_id)}>
          {t('editor.cancel')}
        </Button>
      ) : (
        <>
          <Button
            size="small"
            type="primary"
            icon={<Play size={12} fill="currentColor" />}
            disabled={!tab.connection_id || line !== 'open'}
            loading={opening}
            title={mac ? '⌘ Enter' : 'Ctrl Enter'}
            onClick={() => onRun('current')}
          >
            {t('editor.run')}
          </Button>
          <Button size="small" disabled={!tab.connection_id || line !== 'open'} title={mac ? '⌘ ⇧ Enter' : 'Ctrl Shift Enter'} onClick={() => onRun('all')}>
            {t('editor.runAll')}
          </Button>
        </>
      )}
      <Select
        size="small"
        className="qk-connection-select"
        aria-label={t('editor.connection')}
        placeholder={t('editor.chooseConnection')}
        loading={loading || opening}
        value={tab.connection_id || null}
        disabled={running}
        showSearch={{ optionFilterProp: 'label' }}
        popupMatchSelectWidth={false}
        options={mine.map((item) => ({
          value: item.id,
          label: `${item.name} · ${engines.label(item.engine)}`,
          disabled: !item.is_enabled,
        }))}
        onChange={(id: string) => void store.openSession(tab.tab_id, id)}
      />
      {tab.connection_id ? (
        <button
          type="button"
          className="qk-icon-button"
          disabled={opening || running || line !== 'open'}
          title={session ? t('editor.disconnect') : t('editor.connect')}
          aria-label={session ? t('editor.disconnect') : t('editor.connect')}
          onClick={() => (session ? void store.closeSession(tab.tab_id) : void store.openSession(tab.tab_id, tab.connection_id))}
        >
          {session ? <Plug size={15} className="qk-ok-text" aria-hidden /> : <Unplug size={15} aria-hidden />}
        </button>
      ) : null}
      <Menu
        label={t('transaction.mode')}
        align="left"
        button={manual ? t('transaction.manual') : t('transaction.auto')}
        items={[
          {
            key: 'auto',
            label: t('transaction.auto'),
            checked: !manual,
            disabled: session?.transaction.is_open,
            onSelect: () => void store.setAutoCommit(tab.tab_id, true),
          },
          {
            key: 'manual',
            label: t('transaction.manual'),
            checked: manual,
            disabled: session?.transaction.is_open,
            onSelect: () => void store.setAutoCommit(tab.tab_id, false),
          },
        ]}
      />
      <span className="qk-spacer" />
      {running && started ? <Elapsed since={started} /> : null}
      {!running && typeof run?.duration_ms === 'number' ? <span className="qk-muted qk-num">{formatDuration(run.duration_ms)}</span> : null}
      {session ? <span className="qk-tag">{session.privilege}</span> : null}
      <span className="qk-muted qk-save-state">{unsaved ? t('editor.saving') : t('editor.saved')}</span>
    </div>
  )
}

function Elapsed({ since }: { since: number }) {
  const { t } = useTranslation()
  const now = useNow(100)
  return (
    <span className="qk-row qk-num" role="timer">
      <i className="qk-run-dot" aria-hidden />
      {t('statementState.running')} {formatDuration(Math.max(0, now - since))}
    </span>
  )
}

/** The open transaction, always in sight while there is one. */
export function TransactionBar({ store, tab }: { store: EditorStore; tab: TabState }) {
  const { t } = useTranslation()
  const now = useNow(1000)
  const session = useEditor(store, (state) => state.sessions[tab.tab_id])
  const running = useEditor(store, (state) => state.runs[tab.tab_id]?.state === 'running')
  const transaction = session?.transaction
  if (!transaction?.is_open) return null
  const age = transaction.opened_at ? now - new Date(transaction.opened_at).getTime() : 0
  const tone = transaction.failed ? 'qk-tone-deny' : 'qk-tone-wait'
  return (
    <div className={`qk-transaction ${tone}`} role="status">
      <b>{transaction.failed ? t('transaction.failed') : t('transaction.open')}</b>
      <span className="qk-num">{t('transaction.statements', { count: transaction.statements })}</span>
      {age > 0 ? <span className="qk-num">{formatDuration(age)}</span> : null}
      {age > IDLE_WARNING_MS ? <span>{t('transaction.idle')}</span> : null}
      <span className="qk-spacer" />
      <Button size="small" icon={<RotateCcw size={12} />} disabled={running} onClick={() => void store.endTransaction(tab.tab_id, false)}>
        {t('transaction.rollback')}
      </Button>
      {transaction.failed ? null : (
        <Button size="small" type="primary" icon={<Check size={13} />} disabled={running} onClick={() => void store.endTransaction(tab.tab_id, true)}>
          {t('transaction.commit')}
        </Button>
      )}
    </div>
  )
}
