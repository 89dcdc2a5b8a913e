// Fails the build when the first page someone opens costs more than the limit: what index.html names,
// what the page's own chunk imports, one language, all compressed. The editor has no limit here.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const LIMIT = 250 * 1000
// A form with a searchable list also reads that control, when the page already stands.
const FORM_LIMIT = 305 * 1000
const DIST = join(import.meta.dirname, 'dist')
const FRAME = ['index.html', 'src/i18n/ko.json']
const PAGES = {
  'sign-in': [LIMIT, 'src/modules/auth/index.tsx'],
  'a list': [LIMIT, 'src/modules/access/index.tsx'],
  overview: [LIMIT, 'src/modules/overview/index.tsx'],
  'my connections': [LIMIT, 'src/modules/databases/index.tsx'],
  'a form': [FORM_LIMIT, 'src/modules/access/index.tsx', 'src/components/ui/select-control.tsx'],
}

const manifest = JSON.parse(readFileSync(join(DIST, '.vite/manifest.json'), 'utf8'))

function filesOf(entries) {
  const files = new Set()
  const seen = new Set()
  const visit = (name) => {
    if (seen.has(name)) return
    seen.add(name)
    const chunk = manifest[name]
    if (!chunk) throw new Error(`${name} is no chunk of this build`)
    files.add(chunk.file)
    chunk.css?.forEach((file) => files.add(file))
    chunk.imports?.forEach(visit)
  }
  entries.forEach(visit)
  return [...files]
}

let over = false
for (const [page, [limit, ...entries]] of Object.entries(PAGES)) {
  const files = filesOf([...FRAME, ...entries])
  const size = files.reduce((sum, file) => sum + gzipSync(readFileSync(join(DIST, file))).length, 0)
  over ||= size > limit
  console.log(`first load, ${page}: ${(size / 1000).toFixed(0)} kB in ${files.length} files${size > limit ? ` (limit ${limit / 1000} kB)` : ''}`)
}
process.exit(over ? 1 : 0)
