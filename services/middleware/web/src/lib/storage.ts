/** Browser storage that may be closed to us (private windows, policy): reading gives null then. */

function open(kind: 'local' | 'session'): Storage | null {
  try {
    return kind === 'local' ? window.localStorage : window.sessionStorage
  } catch {
    return null
  }
}

export function readStored(key: string, kind: 'local' | 'session' = 'local'): string | null {
  return open(kind)?.getItem(`querykeep.${key}`) ?? null
}

/** Keep a value; returns false when the storage is full or closed. */
export function writeStored(
  key: string,
  value: string | null,
  kind: 'local' | 'session' = 'local',
): boolean {
  const storage = open(kind)
  if (!storage) return false
  try {
    if (value === null) storage.removeItem(`querykeep.${key}`)
    else storage.setItem(`querykeep.${key}`, value)
    return true
  } catch {
    return false
  }
}

/** Keys (without our prefix) that begin with a text. */
export function storedKeys(prefix: string): string[] {
  const storage = open('local')
  if (!storage) return []
  return Object.keys(storage)
    .filter((key) => key.startsWith(`querykeep.${prefix}`))
    .map((key) => key.slice('querykeep.'.length))
}
