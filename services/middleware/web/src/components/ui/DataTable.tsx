import { ArrowDown, ArrowUp } from 'lucide-react'
import { useEffect, useRef, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'

export interface Column<T> {
  key: string
  title: string
  render: (row: T) => ReactNode
  /** Field of `?ordering=`; the column can be sorted then. */
  sort?: string
  width?: string
  align?: 'right'
  mono?: boolean
  /** Takes the room that the others leave; what does not fit is cut with an ellipsis. */
  grow?: boolean
}

/**
 * A dense table over rows that come page by page. Rows out of sight are not laid out
 * (`content-visibility`), so that tens of thousands stay quick; the next page is read before the end
 * comes into view.
 */
export function DataTable<T>({
  columns,
  rows,
  rowKey,
  label,
  ordering = '',
  onOrdering,
  selected,
  onSelect,
  hasMore = false,
  loadingMore = false,
  onMore,
  footer,
}: {
  columns: Column<T>[]
  rows: T[]
  rowKey: (row: T) => string
  label: string
  ordering?: string
  onOrdering?: (ordering: string) => void
  selected?: string | null
  onSelect?: (row: T) => void
  hasMore?: boolean
  loadingMore?: boolean
  onMore?: () => void
  footer?: ReactNode
}) {
  const { t } = useTranslation()
  const sentinel = useRef<HTMLDivElement>(null)
  const more = useRef(onMore)
  useEffect(() => {
    more.current = onMore
  })
  useEffect(() => {
    const mark = sentinel.current
    if (!mark || !hasMore || loadingMore) return
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) more.current?.()
      },
      { rootMargin: '600px' },
    )
    observer.observe(mark)
    return () => observer.disconnect()
  }, [hasMore, loadingMore, rows.length])

  const sortBy = (field: string) => onOrdering?.(ordering === field ? `-${field}` : ordering === `-${field}` ? '' : field)

  return (
    <div className="qk-table-scroll" tabIndex={-1}>
      <table className="qk-table" aria-label={label}>
        <colgroup>
          {columns.map((column) => (
            <col key={column.key} width={column.width} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((column) => {
              const state = ordering === column.sort ? 'ascending' : ordering === `-${column.sort}` ? 'descending' : 'none'
              return (
                <th
                  key={column.key}
                  scope="col"
                  aria-sort={column.sort && state !== 'none' ? state : undefined}
                  className={column.align === 'right' ? 'qk-right' : column.grow ? 'qk-grow' : undefined}
                >
                  {column.sort && onOrdering ? (
                    <button type="button" onClick={() => sortBy(column.sort ?? '')}>
                      {column.title}
                      {state === 'ascending' ? <ArrowUp size={12} aria-hidden /> : null}
                      {state === 'descending' ? <ArrowDown size={12} aria-hidden /> : null}
                    </button>
                  ) : (
                    column.title
                  )}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const key = rowKey(row)
            return (
              <tr
                key={key}
                className={`${onSelect ? 'qk-clickable' : ''}${selected === key ? ' qk-selected' : ''}`}
                aria-selected={selected === undefined ? undefined : selected === key}
                tabIndex={onSelect ? 0 : undefined}
                onClick={
                  onSelect
                    ? (event) => {
                        if ((event.target as HTMLElement).closest('a,button,input')) return
                        onSelect(row)
                      }
                    : undefined
                }
                onKeyDown={
                  onSelect
                    ? (event) => {
                        if (event.target !== event.currentTarget) return
                        if (event.key === 'Enter' || event.key === ' ') {
                          event.preventDefault()
                          onSelect(row)
                        } else if (event.key === 'ArrowDown') {
                          event.preventDefault()
                          ;(event.currentTarget.nextElementSibling as HTMLElement | null)?.focus()
                        } else if (event.key === 'ArrowUp') {
                          event.preventDefault()
                          ;(event.currentTarget.previousElementSibling as HTMLElement | null)?.focus()
                        }
                      }
                    : undefined
                }
              >
                {columns.map((column) => (
                  <td
                    key={column.key}
                    className={[column.align === 'right' ? 'qk-right qk-num' : '', column.mono ? 'qk-mono' : '', column.grow ? 'qk-grow' : '']
                      .filter(Boolean)
                      .join(' ')}
                  >
                    {column.render(row)}
                  </td>
                ))}
              </tr>
            )
          })}
        </tbody>
      </table>
      <div className="qk-table-foot" ref={sentinel}>
        {footer ?? (
          <>
            <span className="qk-num">{t('list.shown', { count: rows.length })}</span>
            {hasMore ? (
              <button type="button" className="qk-link" disabled={loadingMore} onClick={onMore}>
                {loadingMore ? t('common.loading') : t('list.more')}
              </button>
            ) : null}
          </>
        )}
      </div>
    </div>
  )
}
