import { Ban, ChevronRight, Eye, EyeOff, KeyRound, Search, Table2 } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useQuery } from '@tanstack/react-query'
import { ApiError, request } from '@/api/client'
import { useList } from '@/api/hooks'
import type { RelationEntry } from '@/api/types'
import { Input } from '@/components/ui/Input'
import { Skeleton, useErrorText } from '@/components/ui/States'
import { useDebounced } from '@/lib/use-debounced'
import { isView } from '@/modules/databases/catalog-marks'
import { useEngines } from '@/modules/databases/engines'
import { readRelation } from './completion'

/** Schemas, tables and columns of a connection; searched on the server, read as they are opened. */
export function ObjectTree({
  connectionId,
  onInsert,
  onOpen,
}: {
  connectionId: string
  onInsert: (text: string) => void
  onOpen: (entry: RelationEntry) => void
}) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const engines = useEngines()
  const [search, setSearch] = useState('')
  const settled = useDebounced(search.trim(), 200)
  const base = `connections/${connectionId}/catalog`
  const schemas = useQuery({
    queryKey: ['schemas', connectionId],
    queryFn: () => request<{ schemas: string[] }>('GET', base),
    enabled: connectionId !== '',
  })
  const found = useList<RelationEntry>(base, { search: settled }, { enabled: connectionId !== '' && settled !== '' })
  const names = engines.ordered(settled ? [...new Set(found.rows.map((entry) => entry.schema))] : (schemas.data?.schemas ?? []))
  const state = settled ? found : schemas
  if (connectionId === '') return <p className="qk-tree-note">{t('tree.choose')}</p>
  return (
    <div className="qk-tree">
      <Input
        size="small"
        prefix={<Search size={13} aria-hidden />}
        placeholder={t('tree.search')}
        aria-label={t('tree.search')}
        allowClear
        value={search}
        onChange={(event) => setSearch(event.target.value)}
      />
      <div className="qk-tree-scroll">
        {state.isPending ? <Skeleton rows={7} /> : null}
        {state.isError ? (
          <p className="qk-tree-note">{state.error instanceof ApiError && state.error.status === 404 ? t('tree.empty') : errorText(state.error)}</p>
        ) : null}
        {state.isSuccess && names.length === 0 ? <p className="qk-tree-note">{settled ? t('list.noneFound') : t('tree.empty')}</p> : null}
        <ul role="tree" aria-label={t('tree.title')}>
          {names.map((name) => (
            <Schema
              key={`${name} ${settled ? 'found' : 'all'} ${engines.all.length}`}
              name={name}
              found={settled ? found.rows.filter((entry) => entry.schema === name) : null}
              connectionId={connectionId}
              onInsert={onInsert}
              onOpen={onOpen}
            />
          ))}
        </ul>
        {settled && found.hasNextPage ? (
          <button type="button" className="qk-link qk-tree-note" onClick={() => void found.fetchNextPage()}>
            {t('list.more')}
          </button>
        ) : null}
      </div>
    </div>
  )
}

interface Common {
  connectionId: string
  onInsert: (text: string) => void
  onOpen: (entry: RelationEntry) => void
}

function Schema({ name, found, connectionId, ...rest }: Common & { name: string; found: RelationEntry[] | null }) {
  const { t } = useTranslation()
  const engines = useEngines()
  const [open, setOpen] = useState(found !== null || !engines.isSystemSchema(name))
  const list = useList<RelationEntry>(`connections/${connectionId}/catalog`, { schema: name }, { enabled: open && found === null })
  const entries = found ?? list.rows.filter((entry) => entry.kind !== 'sequence')
  return (
    <li role="treeitem" aria-expanded={open} aria-label={name}>
      <button type="button" className="qk-tree-row qk-tree-schema" onClick={() => setOpen(!open)}>
        <ChevronRight size={13} className={open ? 'qk-open' : ''} aria-hidden />
        {name}
        {entries.length > 0 ? (
          <small>
            {entries.length}
            {list.hasNextPage ? '+' : ''}
          </small>
        ) : null}
      </button>
      {open ? (
        <ul role="group">
          {entries.map((entry) => (
            <Relation key={entry.name} entry={entry} connectionId={connectionId} {...rest} />
          ))}
          {list.hasNextPage && found === null ? (
            <li>
              <button type="button" className="qk-link qk-tree-note" onClick={() => void list.fetchNextPage()}>
                {t('list.more')}
              </button>
            </li>
          ) : null}
        </ul>
      ) : null}
    </li>
  )
}

function Relation({ entry, connectionId, onInsert, onOpen }: Common & { entry: RelationEntry }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  const detail = useQuery({
    queryKey: ['relation', connectionId, entry.schema, entry.name],
    queryFn: () => readRelation(connectionId, entry.schema, entry.name),
    enabled: open,
  })
  return (
    <li role="treeitem" aria-expanded={open} aria-label={entry.name}>
      <div className="qk-tree-line">
        <button type="button" className="qk-tree-row" title={t('tree.relationHint')} onClick={() => setOpen(!open)} onDoubleClick={() => onOpen(entry)}>
          <ChevronRight size={13} className={open ? 'qk-open' : ''} aria-hidden />
          {isView(entry.kind) ? <Eye size={13} aria-hidden /> : <Table2 size={13} aria-hidden />}
          <span>{entry.name}</span>
        </button>
        <button type="button" className="qk-tree-act" onClick={() => onOpen(entry)}>
          {'SELECT'}
        </button>
      </div>
      {open ? (
        <ul role="group">
          {detail.isPending ? <li className="qk-tree-note">{t('common.loading')}</li> : null}
          {detail.data?.columns.map((column) => {
            const refused = column.refused_by
            const masked = column.masked_by
            const rule = [...refused, ...masked].map((item) => item.name).join(', ')
            const Icon = refused.length > 0 ? Ban : masked.length > 0 ? EyeOff : null
            const primary = detail.data.indexes?.some((index) => index.primary && index.columns.includes(column.name))
            return (
              <li role="treeitem" key={column.name}>
                <button
                  type="button"
                  className={`qk-tree-row qk-tree-column${refused.length > 0 ? ' qk-deny-text' : masked.length > 0 ? ' qk-mask-text' : ''}`}
                  title={[column.type_name, refused.length > 0 ? t('verdict.denied') : masked.length > 0 ? t('verdict.masked') : '', rule, column.comment].filter(Boolean).join(' · ')}
                  onClick={() => onInsert(column.name)}
                >
                  {Icon ? <Icon size={12} aria-hidden /> : primary ? <KeyRound size={12} aria-hidden /> : <i />}
                  <span>{column.name}</span>
                  <small>{column.type_name}</small>
                </button>
              </li>
            )
          })}
        </ul>
      ) : null}
    </li>
  )
}
