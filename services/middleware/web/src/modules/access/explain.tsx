import { useMutation } from '@tanstack/react-query'
import { FileSearch } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import type { ExplainAnswer, Ref } from '@/api/types'
import { Need } from '@/app/pages'
import { Badge, VerdictBadge, type Tone } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { Field } from '@/components/ui/Form'
import { TextArea } from '@/components/ui/Input'
import { Facts, PageHeader, Section, Tags, usePageTitle } from '@/components/ui/Page'
import { RefSelect } from '@/components/ui/RefSelect'
import { RuleLink } from '@/components/ui/RuleLink'
import { Empty, ErrorPanel } from '@/components/ui/States'
import { useRefusalText } from '@/lib/refusal-text'

const TONES: Record<string, Tone> = {
  allow: 'ok',
  exempt: 'ok',
  mask: 'mask',
  deny: 'deny',
  need_approval: 'wait',
  need_reason: 'wait',
}

/** Why a statement would be allowed, masked or refused for a person; nothing is run. */
export function Explain() {
  const { t } = useTranslation()
  usePageTitle(t('explain.title'))
  const [user, setUser] = useState<Ref | null>(null)
  const [connection, setConnection] = useState<Ref | null>(null)
  const [statement, setStatement] = useState('')
  const answer = useMutation({
    mutationFn: () => request<ExplainAnswer>('POST', 'explain', { body: { user: user?.id, connection: connection?.id, statement } }),
  })
  const ready = user !== null && connection !== null && statement.trim() !== ''
  return (
    <Need permission="explain.use">
      <div className="qk-page">
        <PageHeader title={t('explain.title')} text={t('explain.text')} />
        <div className="qk-explain">
          <Section>
            <form
              className="qk-stack qk-loose"
              onSubmit={(event) => {
                event.preventDefault()
                if (ready) answer.mutate()
              }}
            >
              <Field label={t('explain.user')} required>
                {(control) => <RefSelect {...control} resource="users" value={user} onChange={setUser} />}
              </Field>
              <Field label={t('explain.connection')} required>
                {(control) => <RefSelect {...control} resource="connections" value={connection} onChange={setConnection} />}
              </Field>
              <Field label={t('explain.statement')} required>
                {(control) => (
                  <TextArea
                    {...control}
                    className="qk-mono"
                    spellCheck={false}
                    rows={8}
                    value={statement}
                    onChange={(event) => setStatement(event.target.value)}
                  />
                )}
              </Field>
              <Button type="primary" htmlType="submit" disabled={!ready} loading={answer.isPending}>
                {t('explain.run')}
              </Button>
            </form>
          </Section>
          <div>
            {answer.isError ? <ErrorPanel error={answer.error} /> : null}
            {answer.data ? <Decision answer={answer.data} /> : answer.isError ? null : <Empty icon={FileSearch} title={t('explain.emptyTitle')} text={t('explain.emptyText')} />}
          </div>
        </div>
      </div>
    </Need>
  )
}

function Decision({ answer }: { answer: ExplainAnswer }) {
  const { t } = useTranslation()
  const message = useRefusalText(answer.reason, answer.message)
  return (
    <>
      <Section>
        <Facts
          items={[
            [t('statements.verdict'), <VerdictBadge key="v" verdict={answer.verdict} />],
            ...(answer.message ? ([[t('explain.message'), message]] as [string, string][]) : []),
            ...(answer.next_step ? ([[t('explain.nextStep'), answer.next_step]] as [string, string][]) : []),
            [t('statements.kind'), answer.kind.toUpperCase()],
            [t('statements.objects'), <Tags key="o" items={answer.objects} />],
            [
              t('statements.rules'),
              answer.rules.length > 0 ? (
                <span key="r" className="qk-tags">
                  {answer.rules.map((rule) => (
                    <RuleLink key={`${rule.id}-${rule.effect}`} rule={rule} />
                  ))}
                </span>
              ) : (
                ''
              ),
            ],
          ]}
        />
      </Section>
      {answer.masks.length > 0 ? (
        <Section title={t('explain.masks')}>
          <ul className="qk-plain">
            {answer.masks.map((mask, index) => (
              <li key={index}>
                <code>{mask.name || `#${mask.ordinal + 1}`}</code> ← <code>{mask.masker.kind}</code> {mask.rules.join(', ')}{' '}
                <span className="qk-muted">{mask.sources.join(', ')}</span>
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      <Section title={t('explain.trace')} text={t('explain.traceText')}>
        <ol className="qk-trace">
          {answer.trace.map((step, index) => (
            <li key={index}>
              <Badge tone={TONES[step.result] ?? 'info'}>{t(`traceResult.${step.result}`, { defaultValue: step.result })}</Badge>
              <div>
                <span>{step.text}</span>
                {step.rule ? <RuleLink rule={step.rule} /> : null}
                {step.object ? <code>{step.object}</code> : null}
              </div>
            </li>
          ))}
        </ol>
      </Section>
    </>
  )
}
