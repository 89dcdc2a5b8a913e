import { useMutation, useQuery } from '@tanstack/react-query'
import { Laptop, ShieldAlert } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useLocation, useNavigate, useSearchParams } from 'react-router'
import { ApiError, request } from '@/api/client'
import { useMe } from '@/api/hooks'
import type { AgentLogin } from '@/api/types'
import { Button } from '@/components/ui/Button'
import { Input } from '@/components/ui/Input'
import { Facts, usePageTitle } from '@/components/ui/Page'
import { Skeleton, useErrorText } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { CenterCard } from '@/modules/auth'

/** Sends someone who is not signed in to sign in, and back here afterwards. */
function useSignedIn(): boolean {
  const me = useMe()
  const navigate = useNavigate()
  const location = useLocation()
  const lost = me.error instanceof ApiError && me.error.status === 401
  const here = location.pathname + location.search
  useEffect(() => {
    if (lost) void navigate(`/sign-in?next=${encodeURIComponent(here)}`, { replace: true })
  }, [lost, navigate, here])
  return Boolean(me.data)
}

/** Names the machine that wants to sign in as me; nothing happens without a press of the button. */
export function ConfirmAgent() {
  const { t } = useTranslation()
  usePageTitle(t('agentLogin.title'))
  const ready = useSignedIn()
  const me = useMe()
  const [params] = useSearchParams()
  const login = params.get('login') ?? ''
  const errorText = useErrorText()
  const [done, setDone] = useState<'confirmed' | 'denied' | null>(null)
  const request_ = useQuery({
    queryKey: ['agent-login', login],
    queryFn: () => request<AgentLogin>('GET', `agent-logins/${encodeURIComponent(login)}`),
    enabled: ready && login !== '',
    staleTime: 0,
  })
  const confirm = useMutation({
    mutationFn: () => request<{ redirect: string }>('POST', `agent-logins/${encodeURIComponent(login)}/confirm`, { body: {} }),
    onSuccess: ({ redirect }) => {
      setDone('confirmed')
      // Only the agent's own loopback listener may receive the other half of the code.
      if (/^http:\/\/127\.0\.0\.1:\d+\//.test(redirect)) window.location.assign(redirect)
    },
  })
  const deny = useMutation({
    mutationFn: () => request('POST', `agent-logins/${encodeURIComponent(login)}/deny`, { body: {} }),
    onSuccess: () => setDone('denied'),
  })
  if (!ready) return <Skeleton />
  const entry = request_.data
  if (done) {
    return (
      <CenterCard>
        <h1>{t(`agentLogin.${done}Title`)}</h1>
        <p>{t(`agentLogin.${done}Text`)}</p>
      </CenterCard>
    )
  }
  if (login === '' || request_.isError || (entry && entry.state !== 'waiting')) {
    return (
      <CenterCard>
        <h1>{t('agentLogin.goneTitle')}</h1>
        <p>{request_.isError && !(request_.error instanceof ApiError && request_.error.status === 404) ? errorText(request_.error) : t('agentLogin.goneText')}</p>
      </CenterCard>
    )
  }
  if (!entry) return <Skeleton />
  const failure = confirm.error ?? deny.error
  return (
    <CenterCard wide>
      <h1 className="qk-row">
        <Laptop size={20} aria-hidden /> {t('agentLogin.title')}
      </h1>
      <p>{t('agentLogin.text')}</p>
      <Facts
        items={[
          [t('agentLogin.person'), `${me.data?.display_name ?? ''} (${me.data?.username ?? ''})`],
          [t('agentLogin.machine'), <b key="m">{entry.machine}</b>],
          [t('agentLogin.address'), <code key="a">{entry.address}</code>],
          [t('agentLogin.requested'), <Time key="t" at={entry.requested_at} exact />],
        ]}
      />
      <div className="qk-note qk-tone-wait qk-card-note">
        <ShieldAlert size={15} aria-hidden />
        <span>{t('agentLogin.warning')}</span>
      </div>
      {failure ? (
        <p className="qk-field-error" role="alert">
          {errorText(failure)}
        </p>
      ) : null}
      <div className="qk-row">
        <Button type="primary" size="large" loading={confirm.isPending} onClick={() => confirm.mutate()}>
          {t('agentLogin.confirm')}
        </Button>
        <Button size="large" danger loading={deny.isPending} onClick={() => deny.mutate()}>
          {t('agentLogin.deny')}
        </Button>
      </div>
    </CenterCard>
  )
}

/** The short code of a terminal without a browser; nothing is filled in from the address. */
export function EnterDeviceCode() {
  const { t } = useTranslation()
  usePageTitle(t('agentLogin.deviceTitle'))
  const ready = useSignedIn()
  const navigate = useNavigate()
  const errorText = useErrorText()
  const [code, setCode] = useState('')
  const find = useMutation({
    mutationFn: () => request<{ login_id: string }>('POST', 'agent-logins/device', { body: { user_code: code.trim() } }),
    onSuccess: ({ login_id }) => void navigate(`/agent/confirm?login=${encodeURIComponent(login_id)}`),
  })
  if (!ready) return <Skeleton />
  return (
    <CenterCard>
      <h1>{t('agentLogin.deviceTitle')}</h1>
      <p>{t('agentLogin.deviceText')}</p>
      <form
        className="qk-stack qk-loose qk-user-code"
        onSubmit={(event) => {
          event.preventDefault()
          if (code.trim()) find.mutate()
        }}
      >
        <Input aria-label={t('agentLogin.code')} autoFocus autoComplete="off" spellCheck={false} maxLength={20} value={code} onChange={(event) => setCode(event.target.value)} />
        {find.isError ? (
          <p className="qk-field-error" role="alert">
            {find.error instanceof ApiError && find.error.status === 404 ? t('agentLogin.codeWrong') : errorText(find.error)}
          </p>
        ) : null}
        <Button type="primary" size="large" block htmlType="submit" loading={find.isPending} disabled={!code.trim()}>
          {t('common.next')}
        </Button>
      </form>
    </CenterCard>
  )
}
