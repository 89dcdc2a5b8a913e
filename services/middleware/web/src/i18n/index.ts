/** Two languages, each its own chunk; the other is loaded when someone switches. */

import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { readStored, writeStored } from '@/lib/storage'

export type Language = 'en' | 'ko'

export function isLanguage(value: string | null | undefined): value is Language {
  return value === 'en' || value === 'ko'
}

async function load(language: Language): Promise<Record<string, unknown>> {
  const strings = language === 'ko' ? await import('./ko.json') : await import('./en.json')
  return strings.default
}

export function preferredLanguage(): Language {
  const stored = readStored('language')
  if (isLanguage(stored)) return stored
  return navigator.language.toLowerCase().startsWith('ko') ? 'ko' : 'en'
}

export async function startI18n(): Promise<void> {
  const language = preferredLanguage()
  await i18next.use(initReactI18next).init({
    lng: language,
    resources: { [language]: { translation: await load(language) } },
    interpolation: { escapeValue: false },
    returnNull: false,
  })
}

export async function setLanguage(language: Language): Promise<void> {
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await load(language))
  }
  await i18next.changeLanguage(language)
  document.documentElement.lang = language
  writeStored('language', language)
}
