import { Ban, CheckCircle2, Clock3, EyeOff, MessageCircleQuestion, type LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Verdict } from '@/api/types'

export type Tone = 'ok' | 'mask' | 'deny' | 'wait' | 'info'

/** A state in one colour and one word; an icon where the colour alone would have to speak. */
export function Badge({ tone, icon: Icon, children }: { tone: Tone; icon?: LucideIcon; children: ReactNode }) {
  return (
    <span className={`qk-badge qk-tone-${tone}`}>
      {Icon ? <Icon size={13} aria-hidden /> : <i className="qk-dot" aria-hidden />}
      {children}
    </span>
  )
}

const VERDICTS: Record<Verdict, { tone: Tone; icon: LucideIcon }> = {
  allowed: { tone: 'ok', icon: CheckCircle2 },
  masked: { tone: 'mask', icon: EyeOff },
  denied: { tone: 'deny', icon: Ban },
  needs_approval: { tone: 'wait', icon: Clock3 },
  needs_reason: { tone: 'wait', icon: MessageCircleQuestion },
}

export function verdictTone(verdict: Verdict): Tone {
  return VERDICTS[verdict].tone
}

/** The verdict, the same everywhere. */
export function VerdictBadge({ verdict }: { verdict: Verdict }) {
  const { t } = useTranslation()
  const look = VERDICTS[verdict]
  return (
    <Badge tone={look.tone} icon={look.icon}>
      {t(`verdict.${verdict}`)}
    </Badge>
  )
}
