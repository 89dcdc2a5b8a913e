import { useQuery } from '@tanstack/react-query'
import { ArrowRight, EyeOff } from 'lucide-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { request } from '@/api/client'
import type { Masker } from '@/api/types'
import { Field } from '@/components/ui/Form'
import { Input, NumberInput, TextArea } from '@/components/ui/Input'
import { Select } from '@/components/ui/Select'
import { useErrorText } from '@/components/ui/States'
import { useDebounced } from '@/lib/use-debounced'
import { useMaskerName, useMaskers } from './masker-text'

/** Which masker, with which parameters, and what it makes of values typed beside it. */
export function MaskerFields({ masker, onChange, error }: { masker: Masker; onChange: (masker: Masker) => void; error?: string }) {
  const { t } = useTranslation()
  const list = useMaskers()
  const name = useMaskerName()
  const chosen = list.data?.find((item) => item.kind === masker.kind)
  return (
    <>
      <Field
        label={t('rules.masker')}
        error={error}
        help={chosen && t('rules.maskerFits', { kinds: chosen.fits.map((kind) => t(`maskerFits.${kind}`)).join(', ') })}
        required
        wide
      >
        {(control) => (
          <Select
            {...control}
            className="qk-control"
            showSearch={{ optionFilterProp: 'label' }}
            loading={list.isPending}
            value={masker.kind}
            onChange={(kind: string) => onChange({ kind, params: {} })}
            options={(list.data ?? []).map((item) => ({ value: item.kind, label: name(item.kind) }))}
          />
        )}
      </Field>
      {chosen?.params.map((param) => {
        const value = masker.params[param.name] ?? param.default
        const put = (text: string) => onChange({ ...masker, params: { ...masker.params, [param.name]: text } })
        return (
          <Field key={param.name} label={t(`maskerParam.${param.name}`, { defaultValue: param.name })} required>
            {(control) =>
              param.kind === 'integer' ? (
                <NumberInput
                  {...control}
                  min={param.minimum}
                  max={param.maximum}
                  value={Number(value)}
                  onChange={(number) => put(String(number ?? param.default))}
                />
              ) : (
                <Input {...control} value={value} onChange={(event) => put(event.target.value)} />
              )
            }
          </Field>
        )
      })}
      <MaskPreview masker={masker} example={chosen?.example.value ?? ''} />
    </>
  )
}

function MaskPreview({ masker, example }: { masker: Masker; example: string }) {
  const { t } = useTranslation()
  const errorText = useErrorText()
  const [typed, setTyped] = useState<string | null>(null)
  const text = typed ?? example
  const values = text.split('\n').filter((line) => line !== '')
  const settled = useDebounced(JSON.stringify({ masker, values }), 250)
  const preview = useQuery({
    queryKey: ['mask-preview', settled],
    queryFn: () => request<{ values: (string | null)[] }>('POST', 'masking-rules/preview', { body: JSON.parse(settled) as unknown }),
    enabled: values.length > 0,
    staleTime: Infinity,
  })
  return (
    <div className="qk-field-wide qk-mask-preview">
      <label>
        <span>{t('rules.previewInput')}</span>
        <TextArea rows={3} className="qk-mono" value={text} onChange={(event) => setTyped(event.target.value)} />
      </label>
      <ArrowRight size={16} aria-hidden />
      <div>
        <span>{t('rules.previewOutput')}</span>
        <div className="qk-mask-preview-out" aria-live="polite">
          {preview.isError ? (
            <p className="qk-field-error">{errorText(preview.error)}</p>
          ) : (
            (preview.data?.values ?? []).map((value, index) => (
              <code key={index} className="qk-masked-text">
                <EyeOff size={12} aria-hidden /> {value ?? 'NULL'}
              </code>
            ))
          )}
        </div>
      </div>
    </div>
  )
}
