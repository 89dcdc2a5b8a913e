import '@/styles/editor.css'
import { useInfiniteQuery } from '@tanstack/react-query'
import { History, Search } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import { VerdictBadge } from '@/components/ui/Badge'
import { ColumnMenu, useColumns } from '@/components/ui/columns'
import { DataTable, type Column } from '@/components/ui/DataTable'
import { Input } from '@/components/ui/Input'
import { CopyButton, PageHeader, usePageTitle } from '@/components/ui/Page'
import { Empty, ErrorPanel, Skeleton } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import type { HistoryEntry } from '@/lib/editor-messages.gen'
import { formatDuration, formatNumber } from '@/lib/format'
import { useDebounced } from '@/lib/use-debounced'
import { LineBanner } from './banners'
import { windowStore } from './window'
import { useEditor } from './store'

/** One's own statements, newest first, ready to run again. */
export function HistoryPage() {
  const { t, i18n } = useTranslation()
  usePageTitle(t('nav.history'))
  const [store] = useState(windowStore)
  const ready = useEditor(store, (state) => state.ready && state.line === 'open')
  const [params, setParams] = useSearchParams()
  const [text, setText] = useState(params.get('search') ?? '')
  const search = useDebounced(text.trim(), 250)
  useEffect(() => {
    setParams(search ? { search } : {}, { replace: true })
  }, [search, setParams])
  const list = useInfiniteQuery({
    queryKey: ['history', search],
    queryFn: ({ pageParam }) => store.send({ type: 'list_history', search, before: pageParam, limit: 100 }, 'history_page'),
    initialPageParam: '',
    getNextPageParam: (last) => last.next_before || undefined,
    enabled: ready,
  })
  const columns: Column<HistoryEntry>[] = [
    { key: 'at', title: t('statements.at'), width: '150px', render: (entry) => <Time at={entry.started_at} /> },
    { key: 'verdict', title: t('statements.verdict'), width: '96px', render: (entry) => <VerdictBadge verdict={entry.verdict} /> },
    { key: 'connection', title: t('statements.connection'), render: (entry) => <span className="qk-nowrap">{entry.connection_name}</span> },
    {
      key: 'text',
      title: t('statements.statement'),
      grow: true,
      render: (entry) => (
        <span className="qk-cell-sql" title={entry.error || undefined}>
          {entry.text.slice(0, 400)}
        </span>
      ),
    },
    { key: 'rows', title: t('statements.rows'), align: 'right', render: (entry) => (entry.row_count === null ? '' : formatNumber(entry.row_count, i18n.language)) },
    { key: 'time', title: t('statements.duration'), align: 'right', render: (entry) => (entry.duration_ms === null ? '' : formatDuration(entry.duration_ms)) },
    {
      key: 'act',
      title: '',
      render: (entry) => (
        <span className="qk-row qk-nowrap">
          <CopyButton text={entry.text} />
          <Link to={`/editor?connection=${encodeURIComponent(entry.connection_id)}&text=${encodeURIComponent(entry.text.slice(0, 100_000))}`}>{t('history.open')}</Link>
        </span>
      ),
    },
  ]
  const { shown, ...choice } = useColumns('history', columns)
  const rows = list.data?.pages.flatMap((item) => item.entries) ?? []
  return (
    <div className="qk-page qk-page-list">
      <PageHeader title={t('nav.history')} text={t('history.text')} />
      <LineBanner store={store} />
      <div className="qk-filters">
        <div className="qk-filter-row">
          <Input
            className="qk-search"
            prefix={<Search size={14} aria-hidden />}
            placeholder={t('list.search')}
            aria-label={t('list.search')}
            allowClear
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <span className="qk-spacer" />
          <ColumnMenu {...choice} />
        </div>
      </div>
      <div className="qk-split">
        <div className="qk-split-main">
          {list.isError ? (
            <ErrorPanel error={list.error} onRetry={() => void list.refetch()} />
          ) : list.isPending ? (
            <Skeleton rows={10} />
          ) : rows.length === 0 ? (
            <Empty icon={History} title={search ? t('list.noneFound') : t('history.emptyTitle')} text={search ? t('list.noneFoundText') : t('history.emptyText')} />
          ) : (
            <DataTable<HistoryEntry>
              label={t('nav.history')}
              rows={rows}
              rowKey={(entry) => entry.statement_id}
              hasMore={list.hasNextPage}
              loadingMore={list.isFetchingNextPage}
              onMore={() => void list.fetchNextPage()}
              columns={shown}
            />
          )}
        </div>
      </div>
    </div>
  )
}
