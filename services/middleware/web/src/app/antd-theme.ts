/** The values of tokens.css as antd tokens, for the one part of it that is used. */

import { theme as antdTheme, type ThemeConfig } from 'antd'
import type { ThemeName } from './theme'

const FONT =
  '"Pretendard Variable",Pretendard,-apple-system,BlinkMacSystemFont,"Apple SD Gothic Neo","Segoe UI","Malgun Gothic","Noto Sans KR",NanumGothic,sans-serif'

const COLOURS = {
  light: {
    colorPrimary: '#2456c9',
    colorInfo: '#2456c9',
    colorLink: '#2152c4',
    colorError: '#bd2a1d',
    colorWarning: '#b3720f',
    colorSuccess: '#2c8f57',
    colorText: '#171a1d',
    colorTextSecondary: '#464e56',
    colorTextTertiary: '#5d656d',
    colorTextPlaceholder: '#5d656d',
    colorTextDisabled: '#a3abb2',
    colorBorder: '#828a92',
    colorBorderSecondary: '#e6e9eb',
    colorBgBase: '#ffffff',
    colorBgContainer: '#ffffff',
    colorBgElevated: '#ffffff',
    colorBgLayout: '#f5f6f7',
    colorBgSpotlight: '#1f2428',
  },
  dark: {
    colorPrimary: '#3a6ede',
    colorInfo: '#3a6ede',
    colorLink: '#8bb0ff',
    colorError: '#dc5449',
    colorWarning: '#c58a2c',
    colorSuccess: '#3f9e68',
    colorText: '#e9ebed',
    colorTextSecondary: '#b8bfc6',
    colorTextTertiary: '#969ea7',
    colorTextPlaceholder: '#969ea7',
    colorTextDisabled: '#5c646c',
    colorBorder: '#727b84',
    colorBorderSecondary: '#262b30',
    colorBgBase: '#15181b',
    colorBgContainer: '#15181b',
    colorBgElevated: '#1d2125',
    colorBgLayout: '#0e1012',
    colorBgSpotlight: '#e9ebed',
  },
} as const

export function antdConfig(name: ThemeName): ThemeConfig {
  return {
    algorithm: name === 'dark' ? antdTheme.darkAlgorithm : antdTheme.defaultAlgorithm,
    token: {
      ...COLOURS[name],
      fontFamily: FONT,
      fontSize: 13,
      fontSizeSM: 12,
      controlHeight: 30,
      controlHeightSM: 26,
      controlHeightLG: 36,
      borderRadius: 6,
      borderRadiusSM: 4,
      borderRadiusLG: 8,
      // Nor does anything wait for the end of a motion that reduced motion takes away.
      motion: false,
      wireframe: false,
    },
  }
}
