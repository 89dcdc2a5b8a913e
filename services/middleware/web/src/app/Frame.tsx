import {
  CloudOff,
  Keyboard,
  Languages,
  LogOut,
  Monitor,
  Moon,
  PanelLeftClose,
  PanelLeftOpen,
  Search,
  Sun,
  UserRound,
} from 'lucide-react'
import { useQueryClient } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { NavLink, Outlet, useLocation, useNavigate, Link } from 'react-router'
import { ApiError, request, resetCsrf, setSignedOutHandler } from '@/api/client'
import { useMe } from '@/api/hooks'
import type { Me } from '@/api/types'
import { Menu } from '@/components/ui/Menu'
import { ErrorPanel, Skeleton } from '@/components/ui/States'
import { isLanguage, setLanguage, type Language } from '@/i18n'
import { forgetPerson } from '@/lib/sign-out'
import { readStored, writeStored } from '@/lib/storage'
import { NAVIGATION, visible } from './navigation'
// Not read later: what is typed right after Ctrl K belongs to it.
import { Palette } from './Palette'
import { setThemeChoice, useThemeChoice, type ThemeChoice } from './theme'

const SignInAgain = lazy(() => import('@/modules/auth/again').then((module) => ({ default: module.SignInAgain })))
const KeyList = lazy(() => import('./KeyList').then((module) => ({ default: module.KeyList })))

function useOnline(): boolean {
  const [online, setOnline] = useState(navigator.onLine)
  useEffect(() => {
    const update = () => setOnline(navigator.onLine)
    window.addEventListener('online', update)
    window.addEventListener('offline', update)
    return () => {
      window.removeEventListener('online', update)
      window.removeEventListener('offline', update)
    }
  }, [])
  return online
}

/** Send someone to sign in and bring him back to where he was. */
function useSignIn() {
  const navigate = useNavigate()
  const location = useLocation()
  const here = location.pathname + location.search
  return () => void navigate(here === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(here)}`, { replace: true })
}

export function Frame() {
  const me = useMe()
  const signIn = useSignIn()
  const navigate = useNavigate()
  const [lost, setLost] = useState(false)
  useEffect(() => {
    // Nothing typed may be lost: one signs in over the page instead of leaving it.
    setSignedOutHandler(() => setLost(true))
    return () => setSignedOutHandler(null)
  }, [])
  const mustChange = me.data?.must_change_password
  useEffect(() => {
    if (mustChange) void navigate('/password', { replace: true })
  }, [mustChange, navigate])
  const account = me.data
  useEffect(() => {
    if (account && !readStored('language') && isLanguage(account.language)) void setLanguage(account.language)
  }, [account])

  if (me.isError && !me.data) {
    if (me.error instanceof ApiError && me.error.status === 401) {
      return <SignInRedirect go={signIn} />
    }
    return <ErrorPanel error={me.error} onRetry={() => void me.refetch()} />
  }
  if (!me.data || mustChange) return <Skeleton rows={10} />
  return (
    <>
      <Shell me={me.data} />
      {lost ? (
        <Suspense fallback={null}>
          <SignInAgain me={me.data} onDone={() => setLost(false)} onLeave={signIn} />
        </Suspense>
      ) : null}
    </>
  )
}

function SignInRedirect({ go }: { go: () => void }) {
  const latest = useRef(go)
  useEffect(() => {
    latest.current()
  }, [])
  return <Skeleton rows={10} />
}

function Shell({ me }: { me: Me }) {
  const { t } = useTranslation()
  const online = useOnline()
  const [narrow, setNarrow] = useState(readStored('rail') === 'narrow')
  const [palette, setPalette] = useState(false)
  const [keys, setKeys] = useState(false)

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setPalette((open) => !open)
      } else if (event.key === '?' && !(event.target as HTMLElement).closest('input,textarea,select,[contenteditable=true],.cm-editor')) {
        setKeys(true)
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])

  const fold = () => {
    writeStored('rail', narrow ? null : 'narrow')
    setNarrow(!narrow)
  }
  return (
    <div className={`qk-frame${narrow ? ' qk-frame-narrow' : ''}`}>
      <a className="qk-skip" href="#main">
        {t('frame.skip')}
      </a>
      <Link className="qk-brand" to="/" aria-label={t('app.name')}>
        <img src="/favicon.svg" alt="" />
        <span>{t('app.name')}</span>
      </Link>
      <header className="qk-top">
        <button type="button" className="qk-palette-button" onClick={() => setPalette(true)}>
          <Search size={14} aria-hidden />
          <span>{t('palette.open')}</span>
          <kbd>{navigator.userAgent.includes('Mac') ? '⌘K' : 'Ctrl K'}</kbd>
        </button>
        <span className="qk-spacer" />
        <LanguageMenu />
        <ThemeMenu />
        <PersonMenu me={me} onKeys={() => setKeys(true)} />
      </header>
      <nav className="qk-rail" aria-label={t('frame.navigation')}>
        {NAVIGATION.map((group) => {
          const entries = group.entries.filter((entry) => visible(entry, me.permissions))
          if (entries.length === 0) return null
          return (
            <div className="qk-rail-group" key={group.key}>
              <div className="qk-rail-title">{t(`nav.group.${group.key}`)}</div>
              {entries.map((entry) => (
                <NavLink key={entry.to} to={entry.to} title={t(`nav.${entry.key}`)}>
                  <entry.icon size={16} strokeWidth={1.75} aria-hidden />
                  <span>{t(`nav.${entry.key}`)}</span>
                </NavLink>
              ))}
            </div>
          )
        })}
        <div className="qk-rail-fold">
          <button type="button" onClick={fold} aria-label={narrow ? t('frame.unfold') : t('frame.fold')}>
            {narrow ? <PanelLeftOpen size={16} aria-hidden /> : <PanelLeftClose size={16} aria-hidden />}
            <span>{t('frame.fold')}</span>
          </button>
        </div>
      </nav>
      <main className="qk-main" id="main" tabIndex={-1}>
        {!online ? (
          <div className="qk-banner qk-tone-wait" role="status">
            <CloudOff size={15} aria-hidden />
            {t('frame.offline')}
          </div>
        ) : null}
        <Suspense fallback={<Skeleton rows={10} />}>
          <Outlet />
        </Suspense>
      </main>
      {palette ? <Palette me={me} onClose={() => setPalette(false)} /> : null}
      <Suspense fallback={null}>
        {keys ? <KeyList onClose={() => setKeys(false)} /> : null}
      </Suspense>
    </div>
  )
}

/** Both languages, always in their own words. */
export function LanguageMenu() {
  const { t, i18n } = useTranslation()
  const choose = (language: Language) => {
    void setLanguage(language)
    void request('PATCH', 'me', { body: { language } }).catch(() => undefined)
  }
  return (
    <Menu
      label={t('frame.language')}
      button={
        <>
          <Languages size={15} aria-hidden />
          <span className="qk-menu-words">{i18n.language === 'ko' ? t('language.ko') : t('language.en')}</span>
        </>
      }
      items={(['ko', 'en'] as const).map((language) => ({
        key: language,
        label: t(`language.${language}`),
        checked: i18n.language === language,
        onSelect: () => choose(language),
      }))}
    />
  )
}

export function ThemeMenu() {
  const { t } = useTranslation()
  const choice = useThemeChoice()
  const icons = { light: Sun, dark: Moon, system: Monitor }
  const Icon = icons[choice]
  const choose = (next: ThemeChoice) => {
    setThemeChoice(next)
    void request('PATCH', 'me', { body: { theme: next } }).catch(() => undefined)
  }
  return (
    <Menu
      label={t('frame.theme')}
      button={<Icon size={15} aria-hidden />}
      items={(['light', 'dark', 'system'] as const).map((name) => ({
        key: name,
        label: t(`theme.${name}`),
        icon: icons[name],
        checked: choice === name,
        onSelect: () => choose(name),
      }))}
    />
  )
}

function PersonMenu({ me, onKeys }: { me: Me; onKeys: () => void }) {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const cache = useQueryClient()
  const signOut = async () => {
    await request('POST', 'auth/sign-out').catch(() => undefined)
    resetCsrf()
    forgetPerson()
    cache.clear()
    void navigate('/sign-in', { replace: true })
  }
  const name = me.display_name || me.username
  return (
    <Menu
      label={t('frame.person')}
      button={
        <>
          <span className="qk-avatar" aria-hidden>
            {name.slice(0, 1).toUpperCase()}
          </span>
          <span className="qk-menu-words">{name}</span>
        </>
      }
      items={[
        { key: 'who', label: me.username, heading: true },
        { key: 'profile', label: t('nav.profile'), icon: UserRound, onSelect: () => void navigate('/profile') },
        { key: 'keys', label: t('keys.title'), icon: Keyboard, hint: '?', onSelect: onKeys },
        { key: 'out', label: t('auth.signOut'), icon: LogOut, onSelect: () => void signOut() },
      ]}
    />
  )
}
