import i18next from 'i18next'
import { tellSignedOut } from '@/api/client'
import { onSignedInAgain } from '@/lib/sign-in-again'
import { onSignOut } from '@/lib/sign-out'
import { storedKeys, writeStored } from '@/lib/storage'
import { EditorStore } from './store'

let shared: EditorStore | null = null

/** The window's store outlives the page: leaving the editor keeps its sessions and results. */
export function windowStore(): EditorStore {
  if (!shared) {
    shared = new EditorStore({
      language: () => i18next.language,
      tabTitle: (number) => i18next.t('editor.tabTitle', { number }),
      signedOut: tellSignedOut,
    })
    shared.start()
  }
  return shared
}

onSignedInAgain(() => shared?.reconnect())

// Someone else may sign in next: he gets a window of his own.
onSignOut(() => {
  shared?.dispose()
  shared = null
  writeStored('editor.window', null, 'session')
  storedKeys('draft.').forEach((key) => writeStored(key, null))
})
