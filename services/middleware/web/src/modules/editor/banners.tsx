import { CloudOff, RefreshCw, Unplug, X } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { tellSignedOut } from '@/api/client'
import { Button } from '@/components/ui/Button'
import { useNow } from '@/components/ui/Time'
import type { TabState } from '@/lib/editor-messages.gen'
import { useEditor, type EditorStore } from './store'

/** The line to the server: shown only while there is something to say. */
export function LineBanner({ store }: { store: EditorStore }) {
  const { t } = useTranslation()
  const line = useEditor(store, (state) => state.line)
  const retryAt = useEditor(store, (state) => state.retryAt)
  const ready = useEditor(store, (state) => state.ready)
  const now = useNow(500)
  if (line === 'open' || (line === 'connecting' && !ready)) return null
  const action = {
    connecting: null,
    lost: { label: t('line.retry'), run: () => store.reconnect() },
    signed_out: { label: t('auth.signIn'), run: tellSignedOut },
    taken: { label: t('line.takeBack'), run: () => store.reconnect() },
    outdated: { label: t('line.reload'), run: () => window.location.reload() },
  }[line]
  const seconds = retryAt ? Math.max(0, Math.ceil((retryAt - now) / 1000)) : 0
  return (
    <div className="qk-banner qk-tone-wait" role="status">
      <CloudOff size={15} aria-hidden />
      <span>
        {t(`line.${line}`)} {line === 'lost' && seconds > 0 ? t('line.again', { count: seconds }) : ''}
      </span>
      {action ? (
        <Button size="small" icon={<RefreshCw size={12} />} onClick={action.run}>
          {action.label}
        </Button>
      ) : null}
    </div>
  )
}

/** Why this tab's session ended, or why something asked of it was not done. */
export function TabNotes({ store, tab }: { store: EditorStore; tab: TabState }) {
  const { t } = useTranslation()
  const ended = useEditor(store, (state) => state.ended[tab.tab_id])
  const problem = useEditor(store, (state) => state.problems[tab.tab_id])
  if (!ended && !problem) return null
  const known = problem && t(`editorError.${problem.code}`, { defaultValue: '' })
  return (
    <div className="qk-banner qk-tone-deny" role="alert">
      <Unplug size={15} aria-hidden />
      <span>
        {ended ? (
          <>
            <b>{t(`endReason.${ended.reason}`)}</b> {ended.message} {ended.rolled_back ? t('transaction.lost') : ''}
          </>
        ) : problem ? (
          <>
            {problem.code === 'disconnected' ? known : problem.message || known} {problem.nextStep}
          </>
        ) : null}
      </span>
      <span className="qk-spacer" />
      {ended?.can_reopen ? (
        <Button size="small" onClick={() => void store.openSession(tab.tab_id, tab.connection_id)}>
          {t('editor.reopen')}
        </Button>
      ) : null}
      <button type="button" className="qk-icon-button" aria-label={t('common.close')} onClick={() => store.dismiss(tab.tab_id)}>
        <X size={14} aria-hidden />
      </button>
    </div>
  )
}
