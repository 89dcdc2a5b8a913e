import { Compass, ShieldAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Navigate, useRouteError } from 'react-router'
import { useMe } from '@/api/hooks'
import type { Permission } from '@/api/types'
import { LinkButton } from '@/components/ui/Button'
import { usePageTitle } from '@/components/ui/Page'
import { Empty, ErrorPanel, Skeleton } from '@/components/ui/States'

export function Waiting() {
  return <Skeleton rows={8} />
}

/** First screen: the overview for those who run Querykeep, the editor for everyone else. */
export function Home() {
  const me = useMe()
  if (!me.data) return <Waiting />
  const runs: Permission[] = ['users.view', 'policy.view', 'connections.change', 'audit.view']
  return <Navigate to={runs.some((name) => me.data.permissions.includes(name)) ? '/overview' : '/editor'} replace />
}

export function Missing() {
  const { t } = useTranslation()
  usePageTitle(t('missing.title'))
  return (
    <Empty icon={Compass} title={t('missing.title')} text={t('missing.text')}>
      <LinkButton to="/" type="primary">{t('missing.home')}</LinkButton>
    </Empty>
  )
}

/** A page that failed to load or to draw; the frame around it stays. */
export function RouteFailed() {
  const error = useRouteError()
  return <ErrorPanel error={error} onRetry={() => window.location.reload()} />
}

/** Shows its children to those who may see them; says what is lacking to others. */
export function Need({ permission, children }: { permission: Permission; children: ReactNode }) {
  const { t } = useTranslation()
  const me = useMe()
  if (!me.data) return <Waiting />
  if (me.data.permissions.includes(permission)) return <>{children}</>
  return (
    <Empty icon={ShieldAlert} title={t('errors.forbidden.title')} text={t('errors.needs', { permission: t(`permission.${permission.replace('.', '_')}`) })} />
  )
}

export function useCan(): (permission: Permission) => boolean {
  const me = useMe()
  return (permission) => me.data?.permissions.includes(permission) ?? false
}
