import { AlertTriangle, CheckCircle2, MinusCircle, XCircle } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import type { ProbeReport, ProbeStep } from '@/api/types'
import { formatDuration } from '@/lib/format'

const ICONS = { ok: CheckCircle2, failed: XCircle, warning: AlertTriangle, skipped: MinusCircle }

function Step({ step }: { step: ProbeStep }) {
  const { t } = useTranslation()
  const Icon = ICONS[step.state]
  return (
    <li className={`qk-step qk-step-${step.state}`}>
      <Icon size={15} aria-label={t(`probe.state_${step.state}`)} />
      <b>{t(`probe.${step.name}`, { defaultValue: step.name })}</b>
      <span>{step.message}</span>
      <span className="qk-muted qk-num">{step.state === 'skipped' ? '' : formatDuration(step.duration_ms)}</span>
    </li>
  )
}

/** The steps of a test, each told apart. */
export function ProbeResult({ report }: { report: ProbeReport }) {
  const { t } = useTranslation()
  return (
    <div className="qk-probe" role="status">
      <p className={report.ok ? 'qk-probe-ok' : 'qk-probe-failed'}>
        {report.ok ? t('probe.ok', { version: report.server_version }) : t('probe.failed')}
      </p>
      <ol className="qk-plain qk-steps">
        {report.steps.map((step) => (
          <Step key={step.name} step={step} />
        ))}
      </ol>
    </div>
  )
}
