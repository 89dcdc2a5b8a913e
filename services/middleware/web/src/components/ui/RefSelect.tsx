import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useList } from '@/api/hooks'
import type { Ref } from '@/api/types'
import { useDebounced } from '@/lib/use-debounced'
import { Select } from './Select'

interface Named {
  id: string
  name?: string
  username?: string
  display_name?: string
}

function nameOf(entry: Named): string {
  if (entry.name) return entry.name
  return entry.display_name && entry.display_name !== entry.username
    ? `${entry.display_name} (${entry.username})`
    : (entry.username ?? entry.id)
}

interface Common {
  resource: string
  id?: string
  placeholder?: string
  status?: 'error'
  disabled?: boolean
  'aria-describedby'?: string
  'aria-label'?: string
  allowClear?: boolean
  /** Opens with the focus in it. */
  openAtOnce?: boolean
}

function useOptions(resource: string, chosen: Ref[]) {
  const [search, setSearch] = useState('')
  const list = useList<Named>(resource, { search: useDebounced(search, 200) })
  const options = useMemo(() => {
    const found = new Map(chosen.map((item) => [item.id, item.name]))
    for (const entry of list.rows) found.set(entry.id, nameOf(entry))
    return [...found].map(([value, label]) => ({ value, label }))
  }, [list.rows, chosen])
  return { options, setSearch, loading: list.isFetching }
}

/** One entry of a resource, searched on the server. */
export function RefSelect({ resource, value, onChange, openAtOnce = false, ...rest }: Common & { value: Ref | null; onChange: (value: Ref | null) => void }) {
  const { t } = useTranslation()
  const chosen = useMemo(() => (value ? [value] : []), [value])
  const { options, setSearch, loading } = useOptions(resource, chosen)
  return (
    <Select
      {...rest}
      autoFocus={openAtOnce}
      defaultOpen={openAtOnce}
      className="qk-control"
      showSearch={{ filterOption: false, onSearch: setSearch }}
      loading={loading}
      value={value?.id ?? null}
      options={options}
      placeholder={rest.placeholder ?? t('form.choose')}
      notFoundContent={t('list.noneFound')}
      onChange={(id: string | null) => {
        const option = options.find((item) => item.value === id)
        onChange(option ? { id: option.value, name: option.label } : null)
      }}
    />
  )
}

/** Several entries of a resource, searched on the server. */
export function RefMultiSelect({ resource, value, onChange, ...rest }: Omit<Common, 'openAtOnce'> & { value: Ref[]; onChange: (value: Ref[]) => void }) {
  const { t } = useTranslation()
  const { options, setSearch, loading } = useOptions(resource, value)
  return (
    <Select
      {...rest}
      className="qk-control"
      mode="multiple"
      showSearch={{ filterOption: false, onSearch: setSearch }}
      loading={loading}
      value={value.map((item) => item.id)}
      options={options}
      placeholder={rest.placeholder ?? t('form.choose')}
      notFoundContent={t('list.noneFound')}
      onChange={(ids: string[]) => {
        const names = new Map(options.map((item) => [item.value, item.label]))
        onChange(ids.map((id) => ({ id, name: names.get(id) ?? id })))
      }}
    />
  )
}
