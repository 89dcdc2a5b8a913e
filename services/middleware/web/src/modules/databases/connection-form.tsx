import { ShieldCheck } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate, useParams } from 'react-router'
import { request } from '@/api/client'
import { useSave } from '@/api/hooks'
import type { Connection, ProbeReport } from '@/api/types'
import { Need } from '@/app/pages'
import { Button } from '@/components/ui/Button'
import { Checkbox } from '@/components/ui/Checks'
import { FormLoader } from '@/components/ui/Entry'
import { Field, FieldGroup, FormFrame, useForm } from '@/components/ui/Form'
import { Input, NumberInput, PasswordInput, TextArea } from '@/components/ui/Input'
import { PageHeader, usePageTitle } from '@/components/ui/Page'
import { Select } from '@/components/ui/Select'
import { Skeleton, useErrorText } from '@/components/ui/States'
import { toast } from '@/components/ui/Toast'
import { TLS_MODES, useEngines, type Engines } from './engines'
import { ProbeResult } from './probe'

export function ConnectionForm() {
  const { id } = useParams()
  const engines = useEngines()
  return (
    <Need permission="connections.change">
      <FormLoader<Connection> resource="connections" id={id}>
        {(entry) => (engines.all.length > 0 ? <ConnectionFields entry={entry} engines={engines} /> : <Skeleton rows={10} />)}
      </FormLoader>
    </Need>
  )
}

interface Values {
  name: string
  engine: string
  description: string
  host: string
  port: number | null
  database: string
  username: string
  password: string
  tls_mode: string
  tls_ca_pem: string
  tls_client_cert_pem: string
  tls_client_key_pem: string
  tls_required: boolean
  tags: string[]
  is_enabled: boolean
}

function readTags(tags: string[]): Record<string, string> {
  return Object.fromEntries(
    tags.map((tag) => {
      const at = tag.indexOf(':')
      return at < 0 ? [tag.trim(), ''] : [tag.slice(0, at).trim(), tag.slice(at + 1).trim()]
    }),
  )
}

/** What is sent: write-only secrets only when something was typed, so that an empty field keeps them. */
function bodyOf(values: Values): Record<string, unknown> {
  const { password, tls_client_cert_pem, tls_client_key_pem, tags, ...rest } = values
  return {
    ...rest,
    tags: readTags(tags),
    ...(password ? { password } : {}),
    ...(tls_client_cert_pem ? { tls_client_cert_pem } : {}),
    ...(tls_client_key_pem ? { tls_client_key_pem } : {}),
  }
}

function ConnectionFields({ entry, engines }: { entry: Connection | null; engines: Engines }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const errorText = useErrorText()
  const save = useSave<Connection>('connections')
  const [report, setReport] = useState<ProbeReport | null>(null)
  const [testing, setTesting] = useState(false)
  const title = entry ? t('connections.editTitle', { name: entry.name }) : t('connections.add')
  usePageTitle(title)
  const initial: Values = {
    name: entry?.name ?? '',
    engine: entry?.engine ?? engines.all[0]?.name ?? '',
    description: entry?.description ?? '',
    host: entry?.host ?? '',
    port: entry?.port ?? engines.all[0]?.default_port ?? null,
    database: entry?.database ?? '',
    username: entry?.username ?? '',
    password: '',
    tls_mode: entry?.tls_mode ?? 'prefer',
    tls_ca_pem: entry?.tls_ca_pem ?? '',
    tls_client_cert_pem: '',
    tls_client_key_pem: '',
    tls_required: entry?.tls_required ?? false,
    tags: Object.entries(entry?.tags ?? {}).map(([name, value]) => (value ? `${name}:${value}` : name)),
    is_enabled: entry?.is_enabled ?? true,
  }
  const form = useForm(initial, (values) => {
    const errors: Record<string, string> = {}
    if (!/^[a-z0-9][a-z0-9._-]{0,62}$/.test(values.name)) errors.name = t('connections.nameRule')
    if (!values.host.trim()) errors.host = t('form.required')
    if (!values.port || values.port < 1 || values.port > 65535) errors.port = t('connections.portRule')
    if (!values.database.trim()) errors.database = t('form.required')
    if (!values.username.trim()) errors.username = t('form.required')
    return errors
  })
  const { values, set, errors } = form
  const test = async () => {
    setTesting(true)
    setReport(null)
    try {
      // A saved connection whose password was not typed again is tested with the stored one.
      const unchanged = entry && !form.dirty
      setReport(
        await request<ProbeReport>('POST', unchanged ? `connections/${entry.id}/test` : 'connections/test', {
          body: unchanged ? {} : { ...(entry ? { id: entry.id } : {}), ...bodyOf(values) },
        }),
      )
    } catch (error) {
      toast(errorText(error), 'error')
    } finally {
      setTesting(false)
    }
  }
  const submit = async () => {
    let id = entry?.id
    const done = await form.submit(async (body) => {
      const saved = await save.mutateAsync({ id: entry?.id, etag: entry?.etag, body: bodyOf(body) })
      id = saved.id
    })
    if (done) {
      toast(t('common.saved'))
      void navigate(`/connections/${id}`)
    }
  }
  const text = (name: 'name' | 'description' | 'host' | 'database' | 'username') => ({
    value: values[name],
    onChange: (event: { target: { value: string } }) => set(name, event.target.value),
    onBlur: () => form.touch(name),
  })
  return (
    <div className="qk-page qk-page-narrow">
      <PageHeader title={title} back={{ to: '/connections', label: t('connections.title') }} />
      <FormFrame
        form={form}
        labels={{
          name: t('connections.name'),
          host: t('connections.host'),
          port: t('connections.hostPort'),
          database: t('connections.database'),
          username: t('connections.account'),
          password: t('auth.password'),
          tls_ca_pem: t('connections.ca'),
        }}
        submitLabel={t('common.save')}
        onSubmit={() => void submit()}
        onCancel={() => void navigate(-1)}
        actions={
          <Button icon={<ShieldCheck size={14} />} loading={testing} onClick={() => void test()}>
            {t('probe.run')}
          </Button>
        }
      >
        <FieldGroup title={t('connections.one')} text={t('connections.oneText')}>
          <Field label={t('connections.name')} error={errors.name} help={t('connections.nameHelp')} required>
            {(control) => <Input {...control} {...text('name')} autoComplete="off" spellCheck={false} />}
          </Field>
          <Field label={t('connections.description')} error={errors.description}>
            {(control) => <Input {...control} {...text('description')} />}
          </Field>
          <Field label={t('connections.tags')} error={errors.tags} help={t('connections.tagsHelp')} wide>
            {(control) => (
              <Select {...control} className="qk-control" mode="tags" open={false} value={values.tags} onChange={(value: string[]) => set('tags', value)} />
            )}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('connections.target')} text={t('connections.targetText')}>
          <Field label={t('connections.engine')} error={errors.engine} required>
            {(control) => (
              <Select
                {...control}
                className="qk-control"
                value={values.engine}
                onChange={(engine: string) => {
                  const old = engines.get(values.engine)
                  if (values.port === old?.default_port) set('port', engines.get(engine)?.default_port ?? values.port)
                  set('engine', engine)
                }}
                options={engines.all.map((engine) => ({ value: engine.name, label: engine.label }))}
              />
            )}
          </Field>
          <Field label={t('connections.database')} error={errors.database} required>
            {(control) => <Input {...control} {...text('database')} spellCheck={false} />}
          </Field>
          <Field label={t('connections.host')} error={errors.host} required>
            {(control) => <Input {...control} {...text('host')} spellCheck={false} autoComplete="off" />}
          </Field>
          <Field label={t('connections.hostPort')} error={errors.port} required>
            {(control) => <NumberInput {...control} min={1} max={65535} value={values.port} onChange={(value) => set('port', value)} />}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('connections.storedAccount')} text={t('connections.storedAccountText')}>
          <Field label={t('connections.account')} error={errors.username} required>
            {(control) => <Input {...control} {...text('username')} autoComplete="off" spellCheck={false} />}
          </Field>
          <Field label={t('auth.password')} error={errors.password} help={entry ? t('form.secretKept') : undefined}>
            {(control) => (
              <PasswordInput
                {...control}
                autoComplete="new-password"
                placeholder={entry ? '••••••••' : undefined}
                value={values.password}
                onChange={(event) => set('password', event.target.value)}
              />
            )}
          </Field>
        </FieldGroup>
        <FieldGroup title={t('connections.tls')} text={t('connections.tlsText')}>
          <Field label={t('connections.tlsMode')} error={errors.tls_mode} required>
            {(control) => (
              <Select
                {...control}
                className="qk-control"
                value={values.tls_mode}
                onChange={(value: string) => set('tls_mode', value)}
                options={TLS_MODES.map((mode) => ({ value: mode, label: t(`tls.${mode.replace('-', '_')}`) }))}
              />
            )}
          </Field>
          <div className="qk-field qk-field-check">
            <Checkbox checked={values.tls_required} onChange={(event) => set('tls_required', event.target.checked)}>
              {t('connections.tlsRequired')}
            </Checkbox>
          </div>
          {values.tls_mode.startsWith('verify') || values.tls_ca_pem ? (
            <Field label={t('connections.ca')} error={errors.tls_ca_pem} wide>
              {(control) => (
                <TextArea {...control} className="qk-mono" rows={3} value={values.tls_ca_pem} onChange={(event) => set('tls_ca_pem', event.target.value)} />
              )}
            </Field>
          ) : null}
          {values.tls_mode === 'disable' ? null : (
            <>
              <Field label={t('connections.clientCert')} error={errors.tls_client_cert_pem} help={entry ? t('form.secretKept') : undefined}>
                {(control) => (
                  <TextArea {...control} className="qk-mono" rows={2} value={values.tls_client_cert_pem} onChange={(event) => set('tls_client_cert_pem', event.target.value)} />
                )}
              </Field>
              <Field label={t('connections.clientKey')} error={errors.tls_client_key_pem} help={entry ? t('form.secretKept') : undefined}>
                {(control) => (
                  <TextArea {...control} className="qk-mono" rows={2} value={values.tls_client_key_pem} onChange={(event) => set('tls_client_key_pem', event.target.value)} />
                )}
              </Field>
            </>
          )}
        </FieldGroup>
        <FieldGroup title={t('connections.state')} text={t('connections.stateText')}>
          <div className="qk-field-wide">
            <Checkbox checked={values.is_enabled} onChange={(event) => set('is_enabled', event.target.checked)}>
              {t('connections.enabled')}
            </Checkbox>
          </div>
        </FieldGroup>
        {report ? <ProbeResult report={report} /> : null}
      </FormFrame>
    </div>
  )
}
