import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import en from './en.json'
import ko from './ko.json'

const ROOT = join(import.meta.dirname, '..')

function flatten(node: object, prefix = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const [name, value] of Object.entries(node)) {
    if (typeof value === 'string') found[prefix + name] = value
    else Object.assign(found, flatten(value as object, `${prefix}${name}.`))
  }
  return found
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !/\.(test|gen|d)\.tsx?$/.test(name))
    .map((name) => join(folder, name))
}

interface Uses {
  keys: Set<string>
  patterns: RegExp[]
  literals: string[]
}

const SPOKEN = new Set(['title', 'label', 'placeholder', 'aria-label', 'alt', 'text', 'help'])
const WORDS = /[\p{L}]{2,}/u
/** Words that are the same in every language: they are typed, not read. */
const TYPED = new Set(['NULL', 'SELECT', 'qk login', 'qk', 'psql', 'JDBC', 'URL'])

function usesOf(files: string[]): Uses {
  const uses: Uses = { keys: new Set(), patterns: [], literals: [] }
  for (const file of files) {
    const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX)
    const visit = (node: ts.Node): void => {
      if (ts.isCallExpression(node)) {
        const name = node.expression.getText(source)
        if (name === 't' || name === 'i18next.t') readKey(node.arguments[0], uses)
      }
      if (ts.isJsxText(node) && WORDS.test(node.text)) uses.literals.push(`${file}: ${node.text.trim()}`)
      if (
        ts.isJsxAttribute(node) &&
        SPOKEN.has(node.name.getText(source)) &&
        node.initializer &&
        ts.isStringLiteral(node.initializer) &&
        WORDS.test(node.initializer.text) &&
        !TYPED.has(node.initializer.text.split(' ')[0] ?? '')
      ) {
        uses.literals.push(`${file}: ${node.name.getText(source)}="${node.initializer.text}"`)
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return uses
}

function readKey(argument: ts.Expression | undefined, uses: Uses): void {
  if (!argument) return
  if (ts.isStringLiteralLike(argument)) uses.keys.add(argument.text)
  else if (ts.isTemplateExpression(argument)) {
    const parts = [argument.head.text, ...argument.templateSpans.map((span) => span.literal.text)]
    const escaped = parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    uses.patterns.push(new RegExp(`^${escaped.join('[^.]+')}$`))
  } else if (ts.isConditionalExpression(argument)) {
    readKey(argument.whenTrue, uses)
    readKey(argument.whenFalse, uses)
  }
}

const strings = { en: flatten(en), ko: flatten(ko) }
const base = (key: string) => key.replace(/_(one|other)$/, '')
const uses = usesOf(sources(ROOT))

describe('strings', () => {
  it('reads the sources', () => {
    expect(uses.keys.size).toBeGreaterThan(300)
    expect(uses.patterns.length).toBeGreaterThan(20)
  })

  it('has the same keys in both languages', () => {
    const keys = (language: 'en' | 'ko') => [...new Set(Object.keys(strings[language]).map(base))].sort()
    expect(keys('ko')).toEqual(keys('en'))
  })

  it('has every key that the code asks for', () => {
    const known = new Set(Object.keys(strings.en).map(base))
    expect([...uses.keys].filter((key) => !known.has(key))).toEqual([])
    expect(uses.patterns.filter((pattern) => ![...known].some((key) => pattern.test(key))).map(String)).toEqual([])
  })

  it('has no key that nothing asks for', () => {
    const unused = [...new Set(Object.keys(strings.en).map(base))].filter(
      (key) => !uses.keys.has(key) && !uses.patterns.some((pattern) => pattern.test(key)),
    )
    expect(unused).toEqual([])
  })

  it('names the same variables in both languages', () => {
    const variables = (text: string) => [...new Set(text.match(/\{\{\w+\}\}/g) ?? [])].sort()
    for (const [key, text] of Object.entries(strings.ko)) {
      expect([key, variables(text)]).toEqual([key, variables(strings.en[key] ?? '')])
    }
  })

  it('puts no particle right behind a variable in Korean', () => {
    const bad = Object.entries(strings.ko).filter(([, text]) => /\}\}(을|를|이|가|은|는|와|과|으로|로)([\s.,)]|$)/.test(text))
    expect(bad).toEqual([])
  })

  it('finds no literal text in components', () => {
    expect(uses.literals).toEqual([])
  })
})
