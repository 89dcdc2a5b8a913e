/** Which theme is on: the person's choice, else the system's; tokens.css holds its colours. */

import { useSyncExternalStore } from 'react'
import { readStored, writeStored } from '@/lib/storage'

export type ThemeChoice = 'light' | 'dark' | 'system'
export type ThemeName = 'light' | 'dark'

const listeners = new Set<() => void>()
const media = window.matchMedia('(prefers-color-scheme: dark)')

export function themeChoice(): ThemeChoice {
  const stored = readStored('theme')
  return stored === 'light' || stored === 'dark' ? stored : 'system'
}

function resolve(): ThemeName {
  const choice = themeChoice()
  if (choice !== 'system') return choice
  return media.matches ? 'dark' : 'light'
}

function apply(): void {
  document.documentElement.dataset.theme = resolve()
  listeners.forEach((listener) => listener())
}

export function setThemeChoice(choice: ThemeChoice): void {
  writeStored('theme', choice === 'system' ? null : choice)
  apply()
}

media.addEventListener('change', apply)

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function useTheme(): ThemeName {
  return useSyncExternalStore(subscribe, resolve)
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, themeChoice)
}

/** The page's CSP nonce, for styles that libraries make at run time. */
export function cspNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? ''
}
