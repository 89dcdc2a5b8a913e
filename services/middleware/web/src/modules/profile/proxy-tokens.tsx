import { Trash2 } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useRemove } from '@/api/hooks'
import type { ProxyToken } from '@/api/types'
import { DangerDialog } from '@/components/ui/Dialogs'
import { Time } from '@/components/ui/Time'
import { toast } from '@/components/ui/Toast'

/** One's own proxy tokens; their passwords were shown once. */
export function ProxyTokens({ tokens }: { tokens: ProxyToken[] }) {
  const { t } = useTranslation()
  const remove = useRemove('proxy-tokens')
  const [asking, setAsking] = useState<ProxyToken | null>(null)
  if (tokens.length === 0) return <p className="qk-muted">{t('proxyTokens.none')}</p>
  return (
    <div className="qk-table-scroll">
      <table className="qk-table">
        <thead>
          <tr>
            <th scope="col">{t('proxyTokens.name')}</th>
            <th scope="col">{t('proxyTokens.connection')}</th>
            <th scope="col">{t('auth.username')}</th>
            <th scope="col">{t('proxyTokens.expiry')}</th>
            <th scope="col">{t('proxyTokens.lastUsed')}</th>
            <th scope="col" aria-label={t('common.delete')} />
          </tr>
        </thead>
        <tbody>
          {tokens.map((token) => (
            <tr key={token.id}>
              <td className="qk-cell-main">{token.name}</td>
              <td>{token.connection.name}</td>
              <td className="qk-mono">{token.username}</td>
              <td>{token.expires_at ? <Time at={token.expires_at} /> : t('expiry.never')}</td>
              <td>
                <Time at={token.last_used_at} />
              </td>
              <td className="qk-right">
                <button type="button" className="qk-icon-button" aria-label={t('common.delete')} title={t('common.delete')} onClick={() => setAsking(token)}>
                  <Trash2 size={14} aria-hidden />
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <DangerDialog
        open={asking !== null}
        title={t('danger.deleteTitle', { name: asking?.name ?? '' })}
        text={t('proxyTokens.removeText')}
        name={null}
        action={t('common.delete')}
        onClose={() => setAsking(null)}
        onConfirm={async () => {
          if (asking) await remove.mutateAsync({ id: asking.id, etag: asking.etag })
          toast(t('common.deleted'))
        }}
      />
    </div>
  )
}
