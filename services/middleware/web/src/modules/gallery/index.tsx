import '@/styles/editor.css'
import { Plus } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiError } from '@/api/client'
import type { ProbeReport, Verdict } from '@/api/types'
import { LanguageMenu, ThemeMenu } from '@/app/Frame'
import { Badge, VerdictBadge, type Tone } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { Checkbox, Segmented, Switch } from '@/components/ui/Checks'
import { DataTable } from '@/components/ui/DataTable'
import { DangerDialog, SecretDialog } from '@/components/ui/Dialogs'
import { Field } from '@/components/ui/Form'
import { Input, NumberInput, PasswordInput } from '@/components/ui/Input'
import { CopyLine, Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { Select } from '@/components/ui/Select'
import { Empty, ErrorPanel, Skeleton } from '@/components/ui/States'
import { Time } from '@/components/ui/Time'
import { toast, Toasts } from '@/components/ui/Toast'
import { FailurePanel } from '@/modules/editor/refusal'
import { ProbeResult } from '@/modules/databases/probe'

const VERDICTS: Verdict[] = ['allowed', 'masked', 'denied', 'needs_approval', 'needs_reason']
const TONES: Tone[] = ['ok', 'mask', 'deny', 'wait', 'info']

/** Every component in its states; the frame's menus switch language and theme. */
export function Gallery() {
  const { t } = useTranslation()
  usePageTitle(t('gallery.title'))
  const [danger, setDanger] = useState(false)
  const [secret, setSecret] = useState(false)
  const [holder, setHolder] = useState('user')
  const report: ProbeReport = {
    ok: false,
    server_version: '',
    flavour: '',
    steps: [
      { name: 'dns', state: 'ok', message: '127.0.0.1', duration_ms: 0.4 },
      { name: 'tcp', state: 'ok', message: '127.0.0.1:5432', duration_ms: 1.2 },
      { name: 'tls', state: 'warning', message: t('gallery.sentence'), duration_ms: 8.1 },
      { name: 'authentication', state: 'failed', message: t('gallery.sentence'), duration_ms: 14 },
      { name: 'permission', state: 'skipped', message: '', duration_ms: 0 },
    ],
  }
  return (
    <main className="qk-page qk-gallery">
      <PageHeader title={t('gallery.title')} text={t('gallery.text')}>
        <LanguageMenu />
        <ThemeMenu />
      </PageHeader>
      <Section title={t('gallery.verdicts')}>
        <div className="qk-row">
          {VERDICTS.map((verdict) => (
            <VerdictBadge key={verdict} verdict={verdict} />
          ))}
          {TONES.map((tone) => (
            <Badge key={tone} tone={tone}>
              {tone}
            </Badge>
          ))}
        </div>
      </Section>
      <Section title={t('gallery.buttons')}>
        <div className="qk-row">
          <Button type="primary" icon={<Plus size={14} />}>
            {t('users.add')}
          </Button>
          <Button>{t('common.cancel')}</Button>
          <Button danger>{t('common.delete')}</Button>
          <Button disabled>{t('common.save')}</Button>
          <Button loading>{t('common.save')}</Button>
          <Button onClick={() => setDanger(true)}>{t('sessions.end')}</Button>
          <Button onClick={() => setSecret(true)}>{t('proxyTokens.add')}</Button>
          <Button onClick={() => toast(t('common.saved'))}>{t('common.saved')}</Button>
          <Button onClick={() => toast(t('errors.unexpected.title'), 'error')}>{t('errors.unexpected.title')}</Button>
        </div>
      </Section>
      <Section title={t('gallery.fields')}>
        <div className="qk-fields">
          <Field label={t('users.name')} required>
            {(control) => <Input {...control} defaultValue={t('gallery.person')} />}
          </Field>
          <Field label={t('users.email')} error={t('form.email')}>
            {(control) => <Input {...control} defaultValue="kim@" />}
          </Field>
          <Field label={t('auth.password')} help={t('form.secretKept')}>
            {(control) => <PasswordInput {...control} placeholder="••••••••" />}
          </Field>
          <Field label={t('connections.hostPort')} required>
            {(control) => <NumberInput {...control} defaultValue={5432} />}
          </Field>
          <Field label={t('users.language')} required>
            {(control) => (
              <Select
                {...control}
                className="qk-control"
                defaultValue="ko"
                options={[
                  { value: 'ko', label: t('language.ko') },
                  { value: 'en', label: t('language.en') },
                ]}
              />
            )}
          </Field>
          <Field label={t('grants.holder')} required>
            {() => (
              <Segmented
                value={holder}
                onChange={setHolder}
                options={[
                  { value: 'user', label: t('grants.user') },
                  { value: 'group', label: t('grants.group') },
                ]}
              />
            )}
          </Field>
          <Checkbox defaultChecked>{t('rules.everyone')}</Checkbox>
          <span>
            <Switch defaultChecked aria-label={t('common.on')} />
          </span>
        </div>
      </Section>
      <Section title={t('gallery.table')}>
        <DataTable
          label={t('gallery.table')}
          rowKey={(row) => row.name}
          rows={VERDICTS.map((verdict, index) => ({ name: verdict, verdict, count: 12_345 * index }))}
          ordering="name"
          onOrdering={() => undefined}
          selected="masked"
          onSelect={() => undefined}
          hasMore
          onMore={() => undefined}
          columns={[
            { key: 'name', title: t('users.name'), sort: 'name', render: (row) => <span className="qk-cell-main">{row.name}</span> },
            { key: 'verdict', title: t('statements.verdict'), render: (row) => <VerdictBadge verdict={row.verdict} /> },
            { key: 'count', title: t('statements.rows'), align: 'right', render: (row) => row.count.toLocaleString() },
            { key: 'at', title: t('statements.at'), render: () => <Time at={new Date().toISOString()} /> },
          ]}
        />
      </Section>
      <Section title={t('gallery.refusals')}>
        <div className="qk-stack">
          {(['denied', 'needs_approval', null] as const).map((verdict) => (
            <FailurePanel
              key={String(verdict)}
              onGoTo={() => undefined}
              failure={{
                code: verdict ? '42501' : '42601',
                message: t('gallery.sentence'),
                detail: '',
                hint: '',
                position: 8,
                verdict,
                object: verdict ? 'public.employees.salary' : '',
                rules: verdict ? [{ id: '1', name: t('gallery.rule'), kind: 'access', effect: 'deny', code: 'A-1', url: '' }] : [],
                next_step: '',
                next_url: verdict ? '/r/A-1' : '',
                reason: verdict ? null : { code: 'syntax', arguments: { detail: t('gallery.sentence') } },
              }}
            />
          ))}
        </div>
      </Section>
      <Section title={t('gallery.facts')}>
        <Facts
          items={[
            [t('users.name'), t('gallery.person')],
            [t('users.groups'), <Tags key="t" items={['Analysts', '분석팀']} />],
            [t('statements.at'), <Time key="a" at={new Date().toISOString()} exact />],
            [t('users.email'), ''],
          ]}
        />
        <div className="qk-stack">
          <CopyLine label="psql" text={'psql "host=127.0.0.1 port=40000 dbname=shop user=qk_analyst"'} />
          <CopyLine label="qk" text="qk connect shop-postgresql" />
        </div>
      </Section>
      <Section title={t('probe.title')}>
        <ProbeResult report={report} />
      </Section>
      <Section title={t('gallery.states')}>
        <div className="qk-gallery-states">
          <Skeleton rows={5} />
          <Empty title={t('grants.emptyTitle')} text={t('grants.emptyText')}>
            <Button type="primary">{t('grants.add')}</Button>
          </Empty>
          <ErrorPanel error={new ApiError(0, 'unreachable', '')} onRetry={() => undefined} />
          <ErrorPanel error={new ApiError(403, 'forbidden', '')} />
          <ErrorPanel error={new ApiError(404, 'not_found', '')} />
          <ErrorPanel error={new ApiError(500, 'http_500', '', '', {}, 'req-7f3a')} onRetry={() => undefined} />
        </div>
      </Section>
      <DangerDialog
        open={danger}
        title={t('sessions.endTitle')}
        text={t('sessions.endText', { user: t('gallery.person'), connection: 'shop-postgresql' })}
        name="analyst"
        action={t('sessions.end')}
        onClose={() => setDanger(false)}
        onConfirm={() => Promise.resolve()}
      />
      <SecretDialog open={secret} title={t('proxyTokens.madeTitle')} onClose={() => setSecret(false)} lines={[{ label: t('auth.password'), text: 'W9x4-…' }]} />
      <Toasts />
    </main>
  )
}
