import { EyeOff, Info } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { Badge, VerdictBadge, type Tone } from '@/components/ui/Badge'
import { RuleLink } from '@/components/ui/RuleLink'
import { formatDuration, formatNumber } from '@/lib/format'
import type { RuleRef, RunSnapshot, StatementSnapshot, StatementState } from '@/lib/editor-messages.gen'
import { toUtf16 } from '@/lib/code-points'
import { FailurePanel } from './refusal'

const TONES: Record<StatementState, Tone> = {
  running: 'wait',
  done: 'ok',
  failed: 'deny',
  refused: 'deny',
  cancelled: 'wait',
  skipped: 'info',
  unknown: 'info',
}

/** Rules that masked something in a statement, each once. */
export function maskingRules(statement: StatementSnapshot): RuleRef[] {
  const found = new Map<string, RuleRef>()
  for (const result of statement.results) for (const column of result.columns) for (const rule of column.masked_by) found.set(rule.id, rule)
  return [...found.values()]
}

/** What each statement of a run did. */
export function MessagesView({
  run,
  onGoTo,
  onShow,
}: {
  run: RunSnapshot
  onGoTo: (offsetInRun: number) => void
  onShow: (resultId: string) => void
}) {
  const { t, i18n } = useTranslation()
  return (
    <div className="qk-messages" tabIndex={0} aria-label={t('editor.messages')}>
      {run.failure ? <FailurePanel failure={run.failure} onGoTo={run.failure.position >= 0 ? () => onGoTo(run.failure?.position ?? 0) : undefined} /> : null}
      {run.statements.map((statement) => {
        const text = run.text.slice(toUtf16(run.text, statement.start), toUtf16(run.text, statement.end)).trim()
        const rules = maskingRules(statement)
        return (
          <article key={statement.statement_id} className="qk-message">
            <header className="qk-row">
              <span className="qk-muted qk-num">{statement.ordinal + 1}</span>
              {statement.verdict === 'masked' ? <VerdictBadge verdict="masked" /> : null}
              {statement.state === 'refused' ? null : <Badge tone={TONES[statement.state]}>{t(`statementState.${statement.state}`)}</Badge>}
              {statement.tag ? <code>{statement.tag}</code> : null}
              {statement.row_count !== null ? <span className="qk-num">{t('editor.rows', { count: statement.row_count, shown: formatNumber(statement.row_count, i18n.language) })}</span> : null}
              {statement.duration_ms !== null ? <span className="qk-muted qk-num">{formatDuration(statement.duration_ms)}</span> : null}
              {statement.results.map((result, index) => (
                <button type="button" className="qk-link" key={result.result_id} onClick={() => onShow(result.result_id)}>
                  {statement.results.length > 1 ? t('editor.openResultNumber', { number: index + 1 }) : t('editor.openResult')}
                </button>
              ))}
            </header>
            <pre className="qk-message-sql">{text.length > 600 ? `${text.slice(0, 600)} …` : text}</pre>
            {rules.length > 0 ? (
              <p className="qk-row qk-mask-text">
                <EyeOff size={13} aria-hidden />
                {t('editor.maskedBy')}
                {rules.map((rule) => (
                  <RuleLink key={rule.id} rule={rule} />
                ))}
              </p>
            ) : null}
            {statement.notices.map((notice, index) => (
              <p key={index} className="qk-row qk-notice">
                <Info size={13} aria-hidden />
                <b>{notice.severity}</b> {notice.message}
              </p>
            ))}
            {statement.failure ? (
              <FailurePanel
                failure={statement.failure}
                onGoTo={() => onGoTo(statement.failure && statement.failure.position >= 0 ? statement.failure.position : statement.start)}
              />
            ) : null}
          </article>
        )
      })}
    </div>
  )
}
