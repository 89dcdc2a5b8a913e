/** The one part taken from antd: a searchable list, one or many, with its theme and language. */

import { ConfigProvider, Select as AntSelect, type SelectProps as AntProps } from 'antd'
import enUS from 'antd/locale/en_US'
import koKR from 'antd/locale/ko_KR'
import { useTranslation } from 'react-i18next'
import { antdConfig } from '@/app/antd-theme'
import { cspNonce, useTheme } from '@/app/theme'

export type SelectProps<V> = AntProps<V>

const csp = { nonce: cspNonce() }

export default function SelectControl(props: SelectProps<unknown>) {
  const theme = useTheme()
  const { i18n } = useTranslation()
  return (
    <ConfigProvider
      theme={antdConfig(theme)}
      locale={i18n.language === 'ko' ? koKR : enUS}
      csp={csp}
      // A list that opens in a dialog has to stand in it: nothing outside a dialog is reachable.
      getPopupContainer={(node) => node?.closest('dialog') ?? document.body}
    >
      <AntSelect {...props} />
    </ConfigProvider>
  )
}
