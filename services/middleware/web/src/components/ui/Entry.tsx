import { Pencil, Trash2 } from 'lucide-react'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams } from 'react-router'
import { useEntry, useRemove } from '@/api/hooks'
import type { Entry } from '@/api/types'
import { Button, LinkButton } from './Button'
import { DangerDialog } from './Dialogs'
import { PageHeader, usePageTitle } from './Page'
import { ErrorPanel, Skeleton } from './States'
import { toast } from './Toast'

/** Reads one entry and shows it; states of waiting and failing in one place. */
export function WithEntry<T>({
  resource,
  id,
  refetchMs,
  children,
}: {
  resource: string
  id: string
  refetchMs?: number
  children: (entry: T) => ReactNode
}) {
  const entry = useEntry<T>(resource, id, { refetchMs })
  if (entry.data !== undefined) return <>{children(entry.data)}</>
  if (entry.isError) return <ErrorPanel error={entry.error} onRetry={() => void entry.refetch()} />
  return <Skeleton rows={6} />
}

/** The page of one entry: the same detail as in the drawer, under a title and a way back. */
export function EntryPage<T>({
  resource,
  back,
  nameOf,
  children,
}: {
  resource: string
  back: { to: string; label: string }
  nameOf: (entry: T) => string
  children: (entry: T, leave: () => void) => ReactNode
}) {
  const { id = '' } = useParams()
  const navigate = useNavigate()
  return (
    <div className="qk-page qk-page-narrow">
      <WithEntry<T> resource={resource} id={id}>
        {(entry) => (
          <>
            <Titled title={nameOf(entry)} back={back} />
            {children(entry, () => void navigate(back.to))}
          </>
        )}
      </WithEntry>
    </div>
  )
}

function Titled({ title, back }: { title: string; back: { to: string; label: string } }) {
  usePageTitle(title)
  return <PageHeader title={title} back={back} />
}

/** Edit and delete of an entry; deleting asks for its name. */
export function EntryActions({
  resource,
  entry,
  name,
  editPath,
  canChange,
  removeText,
  onRemoved,
  children,
}: {
  resource: string
  entry: Entry
  name: string
  editPath?: string
  canChange: boolean
  removeText?: string
  onRemoved: () => void
  children?: ReactNode
}) {
  const { t } = useTranslation()
  const remove = useRemove(resource)
  const [asking, setAsking] = useState(false)
  if (!canChange && !children) return null
  return (
    <div className="qk-row qk-entry-actions">
      {canChange && editPath ? (
        <LinkButton to={editPath} icon={<Pencil size={14} />}>{t('common.edit')}</LinkButton>
      ) : null}
      {children}
      <span className="qk-spacer" />
      {canChange && removeText ? (
        <Button danger type="text" icon={<Trash2 size={14} />} onClick={() => setAsking(true)}>
          {t('common.delete')}
        </Button>
      ) : null}
      <DangerDialog
        open={asking}
        title={t('danger.deleteTitle', { name })}
        text={removeText ?? ''}
        name={name}
        action={t('common.delete')}
        onClose={() => setAsking(false)}
        onConfirm={async () => {
          await remove.mutateAsync({ id: entry.id, etag: entry.etag })
          toast(t('common.deleted'))
          onRemoved()
        }}
      />
    </div>
  )
}

/** Loads what a form edits (nothing for a new one) before the form is made. */
export function FormLoader<T>({
  resource,
  id,
  children,
}: {
  resource: string
  id: string | undefined
  children: (entry: T | null) => ReactNode
}) {
  if (!id) return <>{children(null)}</>
  return (
    <WithEntry<T> resource={resource} id={id}>
      {(entry) => children(entry)}
    </WithEntry>
  )
}
