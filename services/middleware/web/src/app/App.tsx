import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { ConfigProvider } from 'antd'
import enUS from 'antd/locale/en_US'
import koKR from 'antd/locale/ko_KR'
import { useTranslation } from 'react-i18next'
import { RouterProvider } from 'react-router'
import { ApiError } from '@/api/client'
import { Toasts } from '@/components/ui/Toast'
import { router } from './router'
import { antdConfig, cspNonce, useTheme } from './theme'

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (count, error) =>
        error instanceof ApiError ? (error.status === 0 || error.status >= 502) && count < 2 : false,
    },
  },
})

export function App() {
  const theme = useTheme()
  const { i18n } = useTranslation()
  return (
    <ConfigProvider
      theme={antdConfig(theme)}
      locale={i18n.language === 'ko' ? koKR : enUS}
      csp={{ nonce: cspNonce() }}
      button={{ autoInsertSpace: false }}
    >
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
        <Toasts />
      </QueryClientProvider>
    </ConfigProvider>
  )
}
