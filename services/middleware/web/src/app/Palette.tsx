import { Database, Moon, Languages, UserRound, type LucideIcon } from 'lucide-react'
import { useMemo, useState, type KeyboardEvent } from 'react'
import { useTranslation } from 'react-i18next'
import { useNavigate } from 'react-router'
import { useList } from '@/api/hooks'
import type { Connection, Me, User } from '@/api/types'
import { setLanguage } from '@/i18n'
import { useDebounced } from '@/lib/use-debounced'
import { NAVIGATION, visible } from './navigation'
import { setThemeChoice, useTheme } from './theme'

interface Choice {
  key: string
  label: string
  kind: string
  icon: LucideIcon
  run: () => void
}

/** Go to a page, a connection or a person, or act, without the mouse. */
export function Palette({ me, onClose }: { me: Me; onClose: () => void }) {
  const { t, i18n } = useTranslation()
  const navigate = useNavigate()
  const theme = useTheme()
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const search = useDebounced(text, 150)
  const connections = useList<Connection>('connections', { search }, { enabled: search.length > 0 })
  const people = useList<User>('users', { search }, { enabled: search.length > 0 && me.permissions.includes('users.view') })

  const choices = useMemo(() => {
    const go = (to: string) => () => void navigate(to)
    const pages: Choice[] = NAVIGATION.flatMap((group) =>
      group.entries
        .filter((entry) => visible(entry, me.permissions))
        .map((entry) => ({
          key: entry.to,
          label: t(`nav.${entry.key}`),
          kind: t('palette.page'),
          icon: entry.icon,
          run: go(entry.to),
        })),
    )
    pages.push({ key: '/profile', label: t('nav.profile'), kind: t('palette.page'), icon: UserRound, run: go('/profile') })
    const actions: Choice[] = [
      {
        key: 'theme',
        label: theme === 'dark' ? t('palette.light') : t('palette.dark'),
        kind: t('palette.action'),
        icon: Moon,
        run: () => setThemeChoice(theme === 'dark' ? 'light' : 'dark'),
      },
      {
        key: 'language',
        label: t('palette.language'),
        kind: t('palette.action'),
        icon: Languages,
        run: () => void setLanguage(i18n.language === 'ko' ? 'en' : 'ko'),
      },
    ]
    const needle = text.trim().toLowerCase()
    const local = [...pages, ...actions].filter((choice) => choice.label.toLowerCase().includes(needle))
    const found: Choice[] = needle
      ? [
          ...connections.rows.slice(0, 8).map((entry) => ({
            key: `connection-${entry.id}`,
            label: entry.name,
            kind: t('palette.connection'),
            icon: Database,
            run: go(
              entry.my_access
                ? `/editor?connection=${encodeURIComponent(entry.id)}`
                : `/connections/${encodeURIComponent(entry.id)}`,
            ),
          })),
          ...people.rows.slice(0, 8).map((entry) => ({
            key: `user-${entry.id}`,
            label: `${entry.display_name} (${entry.username})`,
            kind: t('palette.person'),
            icon: UserRound,
            run: go(`/users/${encodeURIComponent(entry.id)}`),
          })),
        ]
      : []
    return [...local, ...found]
  }, [text, connections.rows, people.rows, me.permissions, navigate, t, i18n.language, theme])

  const run = (choice: Choice | undefined) => {
    if (!choice) return
    onClose()
    choice.run()
  }
  const onKey = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return
    if (event.key === 'Escape') onClose()
    else if (event.key === 'Enter') run(choices[at])
    else if (event.key === 'ArrowDown') setAt((old) => Math.min(old + 1, choices.length - 1))
    else if (event.key === 'ArrowUp') setAt((old) => Math.max(old - 1, 0))
    else return
    event.preventDefault()
  }
  return (
    <div className="qk-palette-scrim" onMouseDown={(event) => event.target === event.currentTarget && onClose()}>
      <div className="qk-palette" role="dialog" aria-modal="true" aria-label={t('palette.open')} onKeyDown={onKey}>
        <input
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls="qk-palette-list"
          aria-activedescendant={choices[at] ? `qk-palette-${at}` : undefined}
          placeholder={t('palette.placeholder')}
          value={text}
          onChange={(event) => {
            setText(event.target.value)
            setAt(0)
          }}
        />
        {choices.length === 0 ? (
          <p className="qk-palette-none">{t('palette.none')}</p>
        ) : (
          <ul role="listbox" id="qk-palette-list">
            {choices.map((choice, index) => (
              <li
                key={choice.key}
                id={`qk-palette-${index}`}
                role="option"
                aria-selected={index === at}
                onMouseMove={() => setAt(index)}
                onClick={() => run(choice)}
              >
                <choice.icon size={15} aria-hidden />
                {choice.label}
                <small>{choice.kind}</small>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  )
}
