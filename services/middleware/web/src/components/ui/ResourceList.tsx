import { ChevronDown, ExternalLink, Search, X } from 'lucide-react'
import { useEffect, useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Link, useSearchParams } from 'react-router'
import type { Query } from '@/api/client'
import { useList } from '@/api/hooks'
import { useDebounced } from '@/lib/use-debounced'
import { ColumnMenu, useColumns } from './columns'
import { DataTable, type Column } from './DataTable'
import { Input } from './Input'
import { PageHeader, usePageTitle } from './Page'
import { RefSelect } from './RefSelect'
import { Choice } from './Select'
import { ErrorPanel, Skeleton } from './States'

export interface FilterDefinition {
  param: string
  label: string
  kind: 'choice' | 'ref' | 'time' | 'text'
  options?: { value: string; label: string }[]
  resource?: string
}

/** Parameters of the list in the address bar, without the detail that is open. */
export function useListQuery(filters: FilterDefinition[]): { query: Query; params: URLSearchParams } {
  const [params] = useSearchParams()
  const query: Query = { search: params.get('search'), ordering: params.get('ordering') }
  for (const filter of filters) {
    const value = params.get(filter.param)
    query[filter.param] = value && filter.kind === 'time' ? new Date(value).toISOString() : value
  }
  return { query, params }
}

/**
 * A list of one resource: server-side search, filters as chips, sort, paging, all kept in the URL; the
 * selected entry opens beside it.
 */
export function ResourceList<T>({
  resource,
  title,
  text,
  columns,
  rowKey,
  filters = [],
  searchable = true,
  actions,
  empty,
  detail,
  detailTitle,
  pageOf,
  refetchMs,
  above,
}: {
  resource: string
  title: string
  text: string
  columns: Column<T>[]
  rowKey: (row: T) => string
  filters?: FilterDefinition[]
  searchable?: boolean
  actions?: ReactNode
  empty: ReactNode
  detail?: (id: string, close: () => void) => ReactNode
  detailTitle?: string
  pageOf?: (id: string) => string
  refetchMs?: number
  above?: ReactNode
}) {
  const { t } = useTranslation()
  usePageTitle(title)
  const [, setParams] = useSearchParams()
  const { query, params } = useListQuery(filters)
  const list = useList<T>(resource, query, { refetchMs })
  const selected = params.get('selected')
  const { shown, ...choice } = useColumns(resource, columns)

  const change = (name: string, value: string | null, replace = false) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old)
        if (value) next.set(name, value)
        else next.delete(name)
        return next
      },
      { replace },
    )
  const filtered = Boolean(params.get('search')) || filters.some((filter) => params.get(filter.param))

  return (
    <div className="qk-page qk-page-list">
      <PageHeader title={title} text={text}>
        {actions}
      </PageHeader>
      {above}
      <FilterBar filters={filters} params={params} searchable={searchable} onChange={change}>
        <ColumnMenu {...choice} />
      </FilterBar>
      <div className="qk-split">
        <div className="qk-split-main">
          {list.isPending ? (
            <Skeleton rows={10} />
          ) : list.isError && list.rows.length === 0 ? (
            <ErrorPanel error={list.error} onRetry={() => void list.refetch()} />
          ) : list.rows.length === 0 ? (
            filtered ? (
              <div className="qk-empty">
                <h2>{t('list.noneFound')}</h2>
                <p>{t('list.noneFoundText')}</p>
              </div>
            ) : (
              empty
            )
          ) : (
            <DataTable
              label={title}
              columns={shown}
              rows={list.rows}
              rowKey={rowKey}
              ordering={params.get('ordering') ?? ''}
              onOrdering={(ordering) => change('ordering', ordering || null)}
              selected={detail ? selected : undefined}
              onSelect={detail ? (row) => change('selected', rowKey(row)) : undefined}
              hasMore={list.hasNextPage}
              loadingMore={list.isFetchingNextPage}
              onMore={() => void list.fetchNextPage()}
            />
          )}
        </div>
        {detail && selected ? (
          <aside className="qk-drawer" aria-label={detailTitle ?? title}>
            <div className="qk-drawer-head">
              <strong>{detailTitle ?? title}</strong>
              <span className="qk-spacer" />
              {pageOf ? (
                <Link className="qk-icon-button" to={pageOf(selected)} aria-label={t('common.openPage')} title={t('common.openPage')}>
                  <ExternalLink size={15} aria-hidden />
                </Link>
              ) : null}
              <button
                type="button"
                className="qk-icon-button"
                aria-label={t('common.close')}
                title={t('common.close')}
                onClick={() => change('selected', null)}
              >
                <X size={16} aria-hidden />
              </button>
            </div>
            <div className="qk-drawer-body" key={selected}>
              {detail(selected, () => change('selected', null, true))}
            </div>
          </aside>
        ) : null}
      </div>
    </div>
  )
}

function FilterBar({
  filters,
  params,
  searchable,
  onChange,
  children,
}: {
  filters: FilterDefinition[]
  params: URLSearchParams
  searchable: boolean
  children: ReactNode
  onChange: (name: string, value: string | null, replace?: boolean) => void
}) {
  const { t } = useTranslation()
  const applied = params.get('search') ?? ''
  const [text, setText] = useState(applied)
  const settled = useDebounced(text, 250)
  useEffect(() => {
    if (settled !== applied) onChange('search', settled || null, true)
    // Only a settled text is written; what the address bar says elsewhere is read below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [settled])
  const active = filters.filter((filter) => params.get(filter.param))
  return (
    <div className="qk-filters">
      <div className="qk-filter-row">
        {searchable ? (
          <Input
            className="qk-search"
            prefix={<Search size={14} aria-hidden />}
            placeholder={t('list.search')}
            aria-label={t('list.search')}
            value={text}
            allowClear
            onChange={(event) => setText(event.target.value)}
          />
        ) : null}
        {filters.map((filter) => (
          <FilterControl key={filter.param} filter={filter} value={params.get(filter.param)} onChange={onChange} />
        ))}
        <span className="qk-spacer" />
        {children}
      </div>
      {active.length > 0 ? (
        <div className="qk-chips">
          {active.map((filter) => (
            <button
              key={filter.param}
              type="button"
              className="qk-chip"
              onClick={() => onChange(filter.param, null)}
              aria-label={t('list.removeFilter', { name: filter.label })}
            >
              <span>{filter.label}</span>
              <b>{shownValue(filter, params.get(filter.param) ?? '', params)}</b>
              <X size={12} aria-hidden />
            </button>
          ))}
        </div>
      ) : null}
    </div>
  )
}

function shownValue(filter: FilterDefinition, value: string, params: URLSearchParams): string {
  if (filter.kind === 'choice') return filter.options?.find((option) => option.value === value)?.label ?? value
  if (filter.kind === 'ref') return params.get(`${filter.param}_name`) ?? value
  return value.replace('T', ' ')
}

function FilterControl({
  filter,
  value,
  onChange,
}: {
  filter: FilterDefinition
  value: string | null
  onChange: (name: string, value: string | null, replace?: boolean) => void
}) {
  if (filter.kind === 'choice') {
    return (
      <Choice
        className="qk-filter"
        aria-label={filter.label}
        placeholder={filter.label}
        value={value}
        options={filter.options ?? []}
        onChange={(next) => onChange(filter.param, next)}
      />
    )
  }
  if (filter.kind === 'ref') return <RefFilter filter={filter} value={value} />
  return (
    <label className="qk-filter-time">
      <span>{filter.label}</span>
      <input
        type={filter.kind === 'time' ? 'datetime-local' : 'text'}
        value={value ?? ''}
        onChange={(event) => onChange(filter.param, event.target.value || null, true)}
      />
    </label>
  )
}

/** Looks like the other filters; the searchable list behind it is read when someone wants it. */
function RefFilter({ filter, value }: { filter: FilterDefinition; value: string | null }) {
  const [params, setParams] = useSearchParams()
  const [wanted, setWanted] = useState(false)
  if (!wanted && !value) {
    return (
      <button type="button" className="qk-input qk-filter qk-filter-closed" aria-haspopup="listbox" onClick={() => setWanted(true)}>
        <span className="qk-truncate">{filter.label}</span>
        <ChevronDown size={13} aria-hidden />
      </button>
    )
  }
  return (
    <div className="qk-filter">
      <RefSelect
        resource={filter.resource ?? ''}
        aria-label={filter.label}
        placeholder={filter.label}
        allowClear
        openAtOnce={wanted && !value}
        value={value ? { id: value, name: params.get(`${filter.param}_name`) ?? value } : null}
        onChange={(next) =>
          setParams((old) => {
            const copy = new URLSearchParams(old)
            if (next) {
              copy.set(filter.param, next.id)
              copy.set(`${filter.param}_name`, next.name)
            } else {
              copy.delete(filter.param)
              copy.delete(`${filter.param}_name`)
            }
            return copy
          })
        }
      />
    </div>
  )
}
