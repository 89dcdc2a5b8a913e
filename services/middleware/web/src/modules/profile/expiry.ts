import { useTranslation } from 'react-i18next'

/** How long a token may live, in days; 0 is without end. */
export function useExpiryOptions(): { value: number; label: string }[] {
  const { t } = useTranslation()
  return [
    ...[7, 30, 90, 365].map((count) => ({ value: count, label: t('expiry.days', { count }) })),
    { value: 0, label: t('expiry.never') },
  ]
}

export function expiresAt(days: number): string | null {
  return days === 0 ? null : new Date(Date.now() + days * 86_400_000).toISOString()
}
