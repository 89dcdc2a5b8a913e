import { AlertTriangle, ArrowRight, Ban, CornerUpLeft } from 'lucide-react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { VerdictBadge } from '@/components/ui/Badge'
import { Button } from '@/components/ui/Button'
import { RuleLink } from '@/components/ui/RuleLink'
import type { Failure } from '@/lib/editor-messages.gen'
import { isOfTheText, useRefusalText } from '@/lib/refusal-text'

/** The words without the address that the button carries. */
function withoutLink(message: string): string {
  return message.replace(/:?\s*https?:\/\/\S+/, '.').replace(/\.\.$/, '.')
}

/** A path of our own from a link that may carry the installation's whole address; null for others. */
export function ownPath(url: string): string | null {
  if (/^\/(?![/\\])/.test(url)) return url
  try {
    const parsed = new URL(url)
    return parsed.origin === window.location.origin ? parsed.pathname + parsed.search : null
  } catch {
    return null
  }
}

/** Where the next step leads: the link of its own, or the one that the words carry. */
export function nextPath(failure: Failure): string | null {
  const link = failure.next_url || (/https?:\/\/[^\s"]+/.exec(`${failure.next_step} ${failure.message}`)?.[0] ?? '')
  return link ? ownPath(link.replace(/[.,;]$/, '')) : null
}

/** A statement that was refused or failed: what, by which rule, what to do, where in the text. */
export function FailurePanel({ failure, onGoTo }: { failure: Failure; onGoTo?: () => void }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const path = nextPath(failure)
  const ofText = isOfTheText(failure.reason)
  const own = path ? withoutLink(failure.message) : failure.message
  const text = useRefusalText(failure.reason, own)
  const refused = !ofText && failure.verdict !== null && failure.verdict !== 'allowed' && failure.verdict !== 'masked'
  const waits = failure.verdict === 'needs_approval' || failure.verdict === 'needs_reason'
  const Icon = refused ? Ban : AlertTriangle
  return (
    <div className={`qk-failure ${waits ? 'qk-tone-wait' : 'qk-tone-deny'}`} role="alert">
      <Icon size={16} aria-hidden />
      <div className="qk-failure-body">
        <div className="qk-row">
          {refused && failure.verdict ? <VerdictBadge verdict={failure.verdict} /> : <b>{ofText ? t(`refusalKind.${failure.reason?.code}`) : t('editor.failed')}</b>}
          {failure.code ? <code>{failure.code}</code> : null}
          {failure.object ? <code className="qk-failure-object">{failure.object}</code> : null}
        </div>
        <p className="qk-failure-message">{text}</p>
        {failure.detail ? <p>{failure.detail}</p> : null}
        {failure.hint ? (
          <p>
            {t('editor.hint')} {failure.hint}
          </p>
        ) : null}
        {failure.rules.length > 0 ? (
          <p className="qk-row">
            {t('editor.byRule')}
            {failure.rules.map((rule) => (
              <RuleLink key={rule.id} rule={rule} />
            ))}
          </p>
        ) : null}
        <div className="qk-row qk-failure-actions">
          {onGoTo ? (
            <Button size="small" icon={<CornerUpLeft size={13} />} onClick={onGoTo}>
              {t('editor.goTo')}
            </Button>
          ) : null}
          {path ? (
            <Button size="small" type="primary" icon={<ArrowRight size={13} />} onClick={() => void navigate(path)}>
              {t('editor.nextStep')}
            </Button>
          ) : null}
          {failure.next_step && !path && text === own && !failure.message.includes(failure.next_step) ? <span>{failure.next_step}</span> : null}
        </div>
      </div>
    </div>
  )
}
