import { Plus, X } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Connection } from '@/api/types'
import { useEditor, type EditorStore } from './store'

/** The tabs of the window: a dot while one runs, a double click renames. */
export function EditorTabs({ store, connections }: { store: EditorStore; connections: Connection[] }) {
  const { t } = useTranslation()
  const tabs = useEditor(store, (state) => state.tabs)
  const active = useEditor(store, (state) => state.activeTab)
  const runs = useEditor(store, (state) => state.runs)
  const sessions = useEditor(store, (state) => state.sessions)
  const [renaming, setRenaming] = useState('')
  return (
    <div className="qk-tabbar">
      <div className="qk-tabbar-tabs" role="tablist" aria-label={t('editor.tabs')}>
        {tabs.map((tab) => {
          const connection = connections.find((item) => item.id === tab.connection_id)
          const running = runs[tab.tab_id]?.state === 'running'
          const open = sessions[tab.tab_id]?.transaction.is_open
          return (
            <div key={tab.tab_id} className={`qk-tab${tab.tab_id === active ? ' qk-tab-active' : ''}`}>
              {renaming === tab.tab_id ? (
                <input
                  autoFocus
                  aria-label={t('editor.rename')}
                  defaultValue={tab.title}
                  onBlur={(event) => {
                    if (event.target.value.trim()) store.edit(tab.tab_id, { title: event.target.value.trim() })
                    setRenaming('')
                  }}
                  onKeyDown={(event) => {
                    if (event.key === 'Enter') event.currentTarget.blur()
                    if (event.key === 'Escape') setRenaming('')
                  }}
                />
              ) : (
                <button
                  type="button"
                  role="tab"
                  aria-selected={tab.tab_id === active}
                  title={[tab.title, connection?.name].filter(Boolean).join(' · ')}
                  onClick={() => store.selectTab(tab.tab_id)}
                  onDoubleClick={() => setRenaming(tab.tab_id)}
                >
                  {running ? <i className="qk-run-dot" aria-label={t('statementState.running')} /> : open ? <i className="qk-open-dot" aria-label={t('transaction.open')} /> : null}
                  <span>{tab.title}</span>
                  {connection ? <small>{connection.name}</small> : null}
                </button>
              )}
              <button type="button" className="qk-tab-close" aria-label={t('editor.closeTab', { name: tab.title })} onClick={() => store.closeTab(tab.tab_id)}>
                <X size={13} aria-hidden />
              </button>
            </div>
          )
        })}
      </div>
      <button
        type="button"
        className="qk-icon-button"
        aria-label={t('editor.newTab')}
        title={t('editor.newTab')}
        onClick={() => store.addTab(tabs.find((tab) => tab.tab_id === active)?.connection_id ?? '')}
      >
        <Plus size={15} aria-hidden />
      </button>
    </div>
  )
}
