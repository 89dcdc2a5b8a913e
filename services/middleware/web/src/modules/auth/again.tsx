import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError, request, resetCsrf } from '@/api/client'
import type { Me } from '@/api/types'
import { Button } from '@/components/ui/Button'
import { Field } from '@/components/ui/Form'
import { Input, PasswordInput } from '@/components/ui/Input'
import { Modal } from '@/components/ui/Modal'
import { useErrorText } from '@/components/ui/States'
import { signedInAgain } from '@/lib/sign-in-again'

/**
 * The web session ended while someone was at work: he signs in over the page, which stays as it is.
 * Somebody else has to go to the sign-in page, where nothing of the former person is left.
 */
export function SignInAgain({ me, onDone, onLeave }: { me: Me; onDone: () => void; onLeave: () => void }) {
  const { t } = useTranslation()
  const cache = useQueryClient()
  const errorText = useErrorText()
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')
  const submit = async () => {
    if (!password) {
      setFailure(t('auth.fillInPassword'))
      return
    }
    setBusy(true)
    setFailure('')
    try {
      const fresh = await request<Me>('POST', 'auth/sign-in', { body: { username: me.username, password } })
      cache.setQueryData(['me'], fresh)
      signedInAgain()
      onDone()
      void cache.invalidateQueries()
    } catch (error) {
      setFailure(error instanceof ApiError && error.status === 401 ? t('auth.wrong') : errorText(error))
    } finally {
      resetCsrf()
      setBusy(false)
    }
  }
  return (
    <Modal open title={t('auth.againTitle')} onCancel={onLeave} closeOutside={false} footer={null} width={420}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          void submit()
        }}
      >
        <p className="qk-again-text">{t('auth.againText')}</p>
        <Field label={t('auth.username')} required>
          {(control) => <Input {...control} autoComplete="username" readOnly value={me.username} />}
        </Field>
        <Field label={t('auth.password')} required>
          {(control) => (
            <PasswordInput
              {...control}
              data-autofocus
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
        <div className="qk-row qk-again-actions">
          <Button type="primary" htmlType="submit" loading={busy}>
            {t('auth.signIn')}
          </Button>
          <Button onClick={onLeave}>{t('auth.someoneElse')}</Button>
        </div>
      </form>
    </Modal>
  )
}
