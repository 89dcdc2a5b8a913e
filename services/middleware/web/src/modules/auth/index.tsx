import { useQueryClient } from '@tanstack/react-query'
import { useState, type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useSearchParams } from 'react-router'
import { ApiError, request, resetCsrf } from '@/api/client'
import type { Me } from '@/api/types'
import { LanguageMenu, ThemeMenu } from '@/app/Frame'
import { Button } from '@/components/ui/Button'
import { Field } from '@/components/ui/Form'
import { Input, PasswordInput } from '@/components/ui/Input'
import { usePageTitle } from '@/components/ui/Page'
import { useErrorText } from '@/components/ui/States'
import { signedInAgain } from '@/lib/sign-in-again'
import { forgetPerson } from '@/lib/sign-out'

/** A card in the middle of the page, for those who are not inside yet. */
export function CenterCard({ children, wide = false }: { children: ReactNode; wide?: boolean }) {
  const { t } = useTranslation()
  return (
    <div className="qk-center">
      <div>
        <main className={`qk-card${wide ? ' qk-card-wide' : ''}`}>
          <div className="qk-card-brand">
            <img src="/favicon.svg" alt="" />
            {t('app.name')}
          </div>
          {children}
        </main>
        <div className="qk-card-foot">
          <LanguageMenu />
          <ThemeMenu />
        </div>
      </div>
    </div>
  )
}

/** Only a path of our own may be gone to after signing in. */
export function safeNext(next: string | null): string {
  return next && /^\/(?![/\\])/.test(next) && !next.startsWith('/sign-in') ? next : '/'
}

export function SignIn() {
  const { t } = useTranslation()
  usePageTitle(t('auth.signIn'))
  const navigate = useNavigate()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const [params] = useSearchParams()
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')

  const submit = async () => {
    if (!username || !password) {
      setFailure(t('auth.fillIn'))
      return
    }
    setBusy(true)
    setFailure('')
    try {
      const me = await request<Me>('POST', 'auth/sign-in', { body: { username, password } })
      resetCsrf()
      // What this page still holds of a session that ended belongs to its person alone.
      const former = cache.getQueryData<Me>(['me'])
      if (former) (former.id === me.id ? signedInAgain : forgetPerson)()
      cache.clear()
      cache.setQueryData(['me'], me)
      void navigate(me.must_change_password ? `/password?next=${encodeURIComponent(safeNext(params.get('next')))}` : safeNext(params.get('next')), {
        replace: true,
      })
    } catch (error) {
      resetCsrf()
      setFailure(
        error instanceof ApiError && (error.status === 401 || error.code === 'bad_credentials')
          ? t('auth.wrong')
          : errorText(error),
      )
    } finally {
      setBusy(false)
    }
  }
  return (
    <CenterCard>
      <h1>{t('auth.signIn')}</h1>
      <p>{t('auth.signInText')}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        <Field label={t('auth.username')} required>
          {(control) => (
            <Input
              {...control}
              size="large"
              autoFocus
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              value={username}
              onChange={(event) => setUsername(event.target.value)}
            />
          )}
        </Field>
        <Field label={t('auth.password')} required>
          {(control) => (
            <PasswordInput
              {...control}
              size="large"
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        {failure ? (
          <p className="qk-form-summary" role="alert">
            {failure}
          </p>
        ) : null}
        <Button type="primary" size="large" block htmlType="submit" loading={busy}>
          {t('auth.signIn')}
        </Button>
      </form>
    </CenterCard>
  )
}

export function ChangePassword() {
  const { t } = useTranslation()
  usePageTitle(t('auth.newPassword'))
  const [params] = useSearchParams()
  const navigate = useNavigate()
  const cache = useQueryClient()
  return (
    <CenterCard>
      <h1>{t('auth.newPassword')}</h1>
      <p>{t('auth.mustChange')}</p>
      <PasswordForm
        onDone={() => {
          // Nothing shows the person here, so a mere mark as stale would send him back to this page.
          cache.removeQueries({ queryKey: ['me'] })
          void navigate(safeNext(params.get('next')), { replace: true })
        }}
      />
    </CenterCard>
  )
}

export function PasswordForm({ onDone }: { onDone: () => void }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [current, setCurrent] = useState('')
  const [fresh, setFresh] = useState('')
  const [again, setAgain] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')
  const [errors, setErrors] = useState<Record<string, string>>({})
  const mismatch = again !== '' && fresh !== again ? t('auth.mismatch') : ''

  const submit = async () => {
    if (!current || !fresh || mismatch || !again) {
      setFailure(mismatch || t('auth.fillIn'))
      return
    }
    setBusy(true)
    setFailure('')
    setErrors({})
    try {
      await request('POST', 'auth/password', { body: { current, new: fresh } })
      resetCsrf()
      onDone()
    } catch (error) {
      if (error instanceof ApiError) {
        setErrors(Object.fromEntries(Object.entries(error.fields).map(([name, texts]) => [name, texts.join(' ')])))
      }
      setFailure(errorText(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        void submit()
      }}
    >
      <Field label={t('auth.currentPassword')} error={errors.current} required>
        {(control) => (
          <PasswordInput {...control} autoComplete="current-password" value={current} onChange={(event) => setCurrent(event.target.value)} />
        )}
      </Field>
      <Field label={t('auth.newPassword')} error={errors.new} help={t('auth.passwordHelp')} required>
        {(control) => (
          <PasswordInput {...control} autoComplete="new-password" value={fresh} onChange={(event) => setFresh(event.target.value)} />
        )}
      </Field>
      <Field label={t('auth.repeatPassword')} error={mismatch} required>
        {(control) => (
          <PasswordInput {...control} autoComplete="new-password" value={again} onChange={(event) => setAgain(event.target.value)} />
        )}
      </Field>
      {failure ? (
        <p className="qk-form-summary" role="alert">
          {failure}
        </p>
      ) : null}
      <Button type="primary" htmlType="submit" loading={busy}>
        {t('auth.changePassword')}
      </Button>
    </form>
  )
}

/** The first owner of an installation, by the one-time link that `querykeep create-owner` prints. */
export function FirstOwner() {
  const { t } = useTranslation()
  usePageTitle(t('setup.title'))
  const navigate = useNavigate()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const [params] = useSearchParams()
  const [username, setUsername] = useState('admin')
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [again, setAgain] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')
  const [errors, setErrors] = useState<Record<string, string>>({})
  const mismatch = again !== '' && password !== again ? t('auth.mismatch') : ''
  const submit = async () => {
    if (!username || !password || !again || mismatch) {
      setFailure(mismatch || t('auth.fillIn'))
      return
    }
    setBusy(true)
    setFailure('')
    setErrors({})
    try {
      const me = await request<Me>('POST', 'auth/owner-link', {
        body: { link: params.get('link') ?? '', username, display_name: name, password },
      })
      resetCsrf()
      cache.clear()
      cache.setQueryData(['me'], me)
      void navigate('/', { replace: true })
    } catch (error) {
      if (error instanceof ApiError) {
        setErrors(Object.fromEntries(Object.entries(error.fields).map(([field, texts]) => [field, texts.join(' ')])))
      }
      setFailure(errorText(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <CenterCard>
      <h1>{t('setup.title')}</h1>
      <p>{t('setup.text')}</p>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        <Field label={t('auth.username')} error={errors.username} required>
          {(control) => <Input {...control} autoComplete="username" value={username} onChange={(event) => setUsername(event.target.value)} />}
        </Field>
        <Field label={t('users.name')} error={errors.display_name}>
          {(control) => <Input {...control} autoComplete="name" value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label={t('auth.password')} error={errors.password} help={t('auth.passwordHelp')} required>
          {(control) => <PasswordInput {...control} autoComplete="new-password" value={password} onChange={(event) => setPassword(event.target.value)} />}
        </Field>
        <Field label={t('auth.repeatPassword')} error={mismatch} required>
          {(control) => <PasswordInput {...control} autoComplete="new-password" value={again} onChange={(event) => setAgain(event.target.value)} />}
        </Field>
        {failure ? (
          <p className="qk-form-summary" role="alert">
            {failure}
          </p>
        ) : null}
        <Button type="primary" block htmlType="submit" loading={busy}>
          {t('setup.make')}
        </Button>
      </form>
    </CenterCard>
  )
}
