import { useQuery } from '@tanstack/react-query'
import { Ban, EyeOff, KeyRound, Search, Table2, Eye } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { useParams, useSearchParams } from 'react-router'
import { request } from '@/api/client'
import { useEntry, useList } from '@/api/hooks'
import type { Connection, RelationColumn, RelationDetail, RelationEntry } from '@/api/types'
import { Badge } from '@/components/ui/Badge'
import { WithEntry } from '@/components/ui/Entry'
import { Input } from '@/components/ui/Input'
import { PageHeader, Section, usePageTitle } from '@/components/ui/Page'
import { RuleLink } from '@/components/ui/RuleLink'
import { Select } from '@/components/ui/Select'
import { Empty, ErrorPanel, Skeleton } from '@/components/ui/States'
import { useDebounced } from '@/lib/use-debounced'
import { isView } from './catalog-marks'
import { useEngines } from './engines'

/** The schema of one connection as it was crawled, with what is masked and refused for oneself. */
export function CatalogPage() {
  const { t } = useTranslation()
  const { id = '' } = useParams()
  const engines = useEngines()
  const [params, setParams] = useSearchParams()
  const connection = useEntry<Connection>('connections', id)
  const search = params.get('search') ?? ''
  const base = `connections/${id}/catalog`
  const schemas = useQuery({ queryKey: ['schemas', id], queryFn: () => request<{ schemas: string[] }>('GET', base) })
  const names = engines.ordered(schemas.data?.schemas ?? [])
  const settled = useDebounced(search, 200)
  const schema = params.get('schema') ?? (settled ? '' : (names[0] ?? ''))
  const list = useList<RelationEntry>(base, { search: settled, schema }, { enabled: schemas.isSuccess })
  const selected = params.get('relation')
  const name = connection.data?.name ?? ''
  usePageTitle(`${t('catalog.title')} ${name}`)
  const put = (key: string, value: string) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old)
        if (value) next.set(key, value)
        else next.delete(key)
        return next
      },
      { replace: key === 'search' },
    )
  return (
    <div className="qk-page qk-page-list">
      <PageHeader title={t('catalog.of', { name })} text={t('catalog.text')} back={{ to: `/connections/${id}`, label: name }} />
      <div className="qk-split qk-catalog">
        <div className="qk-catalog-list">
          <Input
            prefix={<Search size={14} aria-hidden />}
            placeholder={t('catalog.search')}
            aria-label={t('catalog.search')}
            allowClear
            value={search}
            onChange={(event) => put('search', event.target.value)}
          />
          <Select
            className="qk-control qk-schema-select"
            aria-label={t('objects.schema')}
            value={schema}
            onChange={(value: string) => put('schema', value)}
            options={[...(settled ? [{ value: '', label: t('catalog.allSchemas') }] : []), ...names.map((item) => ({ value: item, label: item }))]}
          />
          {schemas.isError ? (
            <ErrorPanel error={schemas.error} onRetry={() => void schemas.refetch()} />
          ) : list.isPending ? (
            <Skeleton rows={8} />
          ) : list.isError ? (
            <ErrorPanel error={list.error} onRetry={() => void list.refetch()} />
          ) : (
            <ul className="qk-plain qk-catalog-items">
              {list.rows.map((entry) => {
                const key = `${entry.schema}/${entry.name}`
                return (
                  <li key={key}>
                    <button type="button" className={selected === key ? 'qk-selected-item' : ''} onClick={() => put('relation', key)}>
                      {isView(entry.kind) ? <Eye size={14} aria-hidden /> : <Table2 size={14} aria-hidden />}
                      <span className="qk-truncate" title={key}>
                        {schema ? null : <small>{entry.schema}.</small>}
                        {entry.name}
                      </span>
                    </button>
                  </li>
                )
              })}
              {list.hasNextPage ? (
                <li>
                  <button type="button" onClick={() => void list.fetchNextPage()}>
                    {t('list.more')}
                  </button>
                </li>
              ) : null}
            </ul>
          )}
        </div>
        <div className="qk-catalog-detail">
          {selected ? (
            <WithEntry<RelationDetail> resource={`connections/${id}/catalog/${selected.split('/').slice(0, 1).map(encodeURIComponent).join('/')}`} id={selected.split('/').slice(1).join('/')}>
              {(relation) => <RelationView relation={relation} />}
            </WithEntry>
          ) : (
            <Empty icon={Table2} title={t('catalog.emptyTitle')} text={t('catalog.emptyText')} />
          )}
        </div>
      </div>
    </div>
  )
}

export function RelationView({ relation }: { relation: RelationDetail }) {
  const { t, i18n } = useTranslation()
  return (
    <>
      <h2 className="qk-relation-title">
        <code>{`${relation.schema}.${relation.name}`}</code>
        <Badge tone="info">{t(`relationKind.${relation.kind}`, { defaultValue: relation.kind })}</Badge>
        {relation.row_estimate !== null && relation.row_estimate !== undefined ? (
          <span className="qk-muted">{t('catalog.rows', { shown: relation.row_estimate.toLocaleString(i18n.language) })}</span>
        ) : null}
      </h2>
      {relation.comment ? <p className="qk-muted">{relation.comment}</p> : null}
      <Section title={t('catalog.columns')}>
        <div className="qk-table-scroll">
          <table className="qk-table">
            <thead>
              <tr>
                <th scope="col">{t('catalog.column')}</th>
                <th scope="col">{t('catalog.type')}</th>
                <th scope="col">{t('catalog.nullable')}</th>
                <th scope="col">{t('catalog.forMe')}</th>
                <th scope="col">{t('catalog.comment')}</th>
              </tr>
            </thead>
            <tbody>
              {relation.columns.map((column) => (
                <ColumnRow key={column.name} column={column} relation={relation} />
              ))}
            </tbody>
          </table>
        </div>
      </Section>
      {(relation.indexes?.length ?? 0) > 0 ? (
        <Section title={t('catalog.indexes')}>
          <ul className="qk-plain">
            {relation.indexes.map((index) => (
              <li key={index.name}>
                <code>{index.name}</code> ({index.columns.join(', ')}) {index.primary ? <Badge tone="info">{t('catalog.primary')}</Badge> : index.unique ? <Badge tone="info">{t('catalog.unique')}</Badge> : null}
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      {(relation.constraints?.length ?? 0) > 0 ? (
        <Section title={t('catalog.constraints')}>
          <ul className="qk-plain">
            {relation.constraints.map((item) => (
              <li key={item.name}>
                <code>{item.name}</code>{' '}
                {item.ref_table ? `(${item.columns.join(', ')}) → ${item.ref_schema}.${item.ref_table} (${item.ref_columns.join(', ')})` : item.definition}
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      {relation.definition ? (
        <Section title={t('catalog.definition')}>
          <pre className="qk-code">{relation.definition}</pre>
        </Section>
      ) : null}
    </>
  )
}

function ColumnRow({ column, relation }: { column: RelationColumn; relation: RelationDetail }) {
  const { t } = useTranslation()
  const primary = relation.indexes?.some((index) => index.primary && index.columns.includes(column.name))
  const refused = column.refused_by
  const masked = column.masked_by
  return (
    <tr>
      <td className="qk-mono">
        <span className="qk-row">
          {column.name}
          {primary ? <KeyRound size={12} aria-label={t('catalog.primary')} /> : null}
        </span>
      </td>
      <td className="qk-mono">{column.type_name}</td>
      <td>{column.nullable ? t('common.yes') : t('common.no')}</td>
      <td>
        <span className="qk-row">
          {refused.length > 0 ? (
            <>
              <Badge tone="deny" icon={Ban}>
                {t('verdict.denied')}
              </Badge>
              {refused.map((rule) => (
                <RuleLink key={rule.id} rule={{ ...rule, kind: 'access' }} />
              ))}
            </>
          ) : masked.length > 0 ? (
            <>
              <Badge tone="mask" icon={EyeOff}>
                {t('verdict.masked')}
              </Badge>
              {masked.map((rule) => (
                <RuleLink key={rule.id} rule={{ ...rule, kind: 'masking' }} />
              ))}
            </>
          ) : (
            <span className="qk-muted">{t('catalog.plain')}</span>
          )}
        </span>
      </td>
      <td>{column.comment}</td>
    </tr>
  )
}
