import { Columns3 } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { readStored, writeStored } from '@/lib/storage'
import type { Column } from './DataTable'
import { Menu } from './Menu'

/**
 * Which columns of a list someone wants to see, kept in this browser. What is kept is what he hid: a
 * column that a later version adds is shown. The first column and those without a title always are.
 */
export function useColumns<T>(list: string, columns: Column<T>[]) {
  const key = `columns.${list}`
  const [hidden, setHidden] = useState(() => new Set((readStored(key) ?? '').split(',').filter(Boolean)))
  const choosable = columns.slice(1).filter((column) => column.title !== '')
  const toggle = (name: string) => {
    const next = new Set(hidden)
    if (!next.delete(name)) next.add(name)
    setHidden(next)
    writeStored(key, next.size > 0 ? [...next].join(',') : null)
  }
  const shown = columns.filter((column) => !hidden.has(column.key) || !choosable.includes(column))
  return { shown, choosable, hidden, toggle }
}

/** The button at the end of a list's filters with its columns to tick. */
export function ColumnMenu<T>({ choosable, hidden, toggle }: Omit<ReturnType<typeof useColumns<T>>, 'shown'>) {
  const { t } = useTranslation()
  return (
    <Menu
      label={t('list.columns')}
      className="qk-columns"
      button={<Columns3 size={15} aria-hidden />}
      items={choosable.map((column) => ({
        key: column.key,
        label: column.title,
        ticks: true,
        checked: !hidden.has(column.key),
        onSelect: () => toggle(column.key),
      }))}
    />
  )
}
