import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap, indentWithTab, toggleComment } from '@codemirror/commands'
import { MariaSQL, MySQL, PostgreSQL, StandardSQL, keywordCompletionSource, sql, type SQLDialect } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from '@codemirror/language'
import { lintGutter, setDiagnostics, type Diagnostic } from '@codemirror/lint'
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search'
import { Compartment, EditorState, Prec, type Extension } from '@codemirror/state'
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  placeholder,
} from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { useEffect, useImperativeHandle, useRef, type Ref } from 'react'
import { useTranslation } from 'react-i18next'
import { cspNonce } from '@/app/theme'
import type { RunScope, RunSnapshot } from '@/lib/editor-messages.gen'
import { toCodePoints, toUtf16 } from '@/lib/code-points'
import type { Engines } from '@/modules/databases/engines'
import { catalogSource } from './completion'
import { statementAt } from './statement-at'

export interface SqlEditorHandle {
  run: (scope: RunScope) => void
  insert: (text: string) => void
  goTo: (offset: number) => void
  focus: () => void
}

const DIALECTS: Record<string, SQLDialect> = { postgresql: PostgreSQL, mysql: MySQL, mariadb: MariaSQL }

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.modifier], color: 'var(--syn-kw)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--syn-str)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--syn-num)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--syn-com)', fontStyle: 'italic' },
  { tag: [tags.function(tags.variableName), tags.standard(tags.name)], color: 'var(--syn-fn)' },
  { tag: [tags.typeName], color: 'var(--syn-type)' },
])

const look = EditorView.theme({
  '&': { height: '100%', fontSize: '13px', backgroundColor: 'var(--bg)', color: 'var(--fg)' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--font-mono)', lineHeight: '21px' },
  '.cm-content': { padding: '8px 0', caretColor: 'var(--fg)' },
  '.cm-cursor': { borderLeftColor: 'var(--fg)', borderLeftWidth: '2px' },
  '.cm-gutters': { backgroundColor: 'var(--bg)', color: 'var(--fg-3)', border: 'none', paddingLeft: '4px' },
  '.cm-activeLine': { backgroundColor: 'var(--bg-sunken)' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--bg-sunken)', color: 'var(--fg)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'var(--accent-line)',
  },
  '.cm-matchingBracket': { backgroundColor: 'var(--bg-active)', outline: '1px solid var(--line-strong)' },
  '.cm-selectionMatch': { backgroundColor: 'var(--wait-bg)' },
  '.cm-tooltip': { backgroundColor: 'var(--bg-raised)', border: '1px solid var(--line-strong)', borderRadius: '6px', boxShadow: 'var(--e-2)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--font-mono)', fontSize: '12px', maxHeight: '260px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--on-accent)' },
  '.cm-completionDetail': { color: 'var(--fg-3)', fontStyle: 'normal', marginLeft: '12px' },
  '.cm-tooltip-autocomplete ul li[aria-selected] .cm-completionDetail': { color: 'inherit' },
  '.cm-panels': { backgroundColor: 'var(--bg-sunken)', color: 'var(--fg)', borderColor: 'var(--line)' },
  '.cm-panel input': { backgroundColor: 'var(--bg)', color: 'var(--fg)', border: '1px solid var(--line-strong)', borderRadius: '4px' },
  '.cm-panel button': { backgroundImage: 'none', backgroundColor: 'var(--bg)', color: 'var(--fg)', border: '1px solid var(--line-strong)', borderRadius: '4px' },
  '.cm-diagnostic': { fontFamily: 'var(--font-sans)', padding: '6px 10px', maxWidth: '560px' },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--deny-solid)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--deny-solid) 1.5px', textUnderlineOffset: '3px' },
  '.cm-placeholder': { color: 'var(--fg-3)' },
})

/**
 * Text typed over a selection. Left to the browser, it would carry the old text's look over in a style
 * attribute, which the CSP forbids and reports.
 */
const typedOverSelection = EditorView.domEventHandlers({
  beforeinput: (event, view) => {
    const text = event.data
    const { main } = view.state.selection
    if (event.inputType !== 'insertText' || !text || main.empty || view.composing || view.state.readOnly) return false
    const insert = () => view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true })
    const handled = view.state.facet(EditorView.inputHandler).some((handle) => handle(view, main.from, main.to, text, insert))
    if (!handled) view.dispatch(insert())
    return true
  },
})

/** Where a run's failures stand in the text, if the text is still the one that ran. */
function diagnosticsOf(run: RunSnapshot | undefined, text: string): Diagnostic[] {
  if (!run) return []
  const begin = toUtf16(text, run.offset)
  if (text.slice(begin, begin + run.text.length) !== run.text) return []
  const found: Diagnostic[] = []
  const add = (position: number, start: number, end: number, message: string) => {
    const from = begin + toUtf16(run.text, position >= 0 ? position : start)
    const rest = run.text.slice(from - begin)
    const word = /^[\p{L}\p{N}_$."`]+/u.exec(rest)?.[0].length ?? 1
    const to = position >= 0 ? from + Math.max(1, word) : begin + toUtf16(run.text, end)
    found.push({ from, to: Math.min(Math.max(to, from), text.length), severity: 'error', message })
  }
  for (const statement of run.statements) {
    if (statement.failure) add(statement.failure.position, statement.start, statement.end, statement.failure.message)
  }
  if (run.failure && run.failure.position >= 0) add(run.failure.position, 0, 0, run.failure.message)
  return found
}

export function SqlEditor({
  ref,
  text,
  cursor,
  engine,
  engines,
  connectionId,
  run,
  onEdit,
  onRun,
  onCancel,
}: {
  ref: Ref<SqlEditorHandle>
  text: string
  cursor: number
  engine: string
  engines: Engines
  connectionId: string
  run: RunSnapshot | undefined
  onEdit: (part: { text?: string; cursor?: number }) => void
  onRun: (scope: RunScope, text: string, offset: number) => void
  onCancel: () => void
}) {
  const { t } = useTranslation()
  const host = useRef<HTMLDivElement>(null)
  const view = useRef<EditorView>(null)
  const language = useRef(new Compartment())
  const hint = useRef(new Compartment())
  const handlers = useRef({ onEdit, onRun, onCancel })
  const initial = useRef({ text, cursor })
  useEffect(() => {
    handlers.current = { onEdit, onRun, onCancel }
  })

  const start = (scope: RunScope): boolean => {
    const editor = view.current
    if (!editor) return false
    const { state } = editor
    const doc = state.doc.toString()
    const selection = state.selection.main
    let from = 0
    let to = doc.length
    let kind = scope
    if (scope !== 'all' && !selection.empty) {
      from = selection.from
      to = selection.to
      kind = 'selection'
    } else if (scope !== 'all') {
      const part = statementAt(state, selection.head)
      if (!part) return false
      from = part.from
      to = part.to
      kind = 'current'
    }
    handlers.current.onRun(kind, doc.slice(from, to), toCodePoints(doc, from))
    return true
  }
  const startRef = useRef(start)
  useEffect(() => {
    startRef.current = start
  })

  useImperativeHandle(ref, () => ({
    run: (scope) => void startRef.current(scope),
    insert: (inserted) => {
      const editor = view.current
      if (!editor) return
      editor.dispatch(editor.state.replaceSelection(inserted))
      editor.focus()
    },
    goTo: (offset) => {
      const editor = view.current
      if (!editor) return
      const at = Math.min(offset, editor.state.doc.length)
      editor.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) })
      editor.focus()
    },
    focus: () => view.current?.focus(),
  }))

  useEffect(() => {
    if (!host.current) return
    const keys = Prec.highest(
      keymap.of([
        { key: 'Mod-Enter', run: () => startRef.current('current') },
        { key: 'Mod-Shift-Enter', run: () => startRef.current('all') },
        {
          key: 'Mod-.',
          run: () => {
            handlers.current.onCancel()
            return true
          },
        },
        { key: 'Mod-/', run: toggleComment },
        { key: 'Tab', run: acceptCompletion },
      ]),
    )
    const extensions: Extension[] = [
      keys,
      EditorView.cspNonce.of(cspNonce()),
      lineNumbers(),
      lintGutter(),
      history(),
      drawSelection(),
      EditorState.allowMultipleSelections.of(true),
      indentOnInput(),
      bracketMatching(),
      closeBrackets(),
      highlightActiveLine(),
      highlightActiveLineGutter(),
      highlightSelectionMatches(),
      search({ top: true }),
      keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
      typedOverSelection,
      syntaxHighlighting(highlight),
      look,
      language.current.of([]),
      hint.current.of([]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) {
          handlers.current.onEdit({ text: update.state.doc.toString(), cursor: update.state.selection.main.head })
        } else if (update.selectionSet) {
          handlers.current.onEdit({ cursor: update.state.selection.main.head })
        }
      }),
    ]
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: initial.current.text,
        selection: { anchor: Math.min(initial.current.cursor, initial.current.text.length) },
        extensions,
      }),
    })
    view.current = editor
    editor.focus()
    return () => {
      editor.destroy()
      view.current = null
    }
  }, [])

  useEffect(() => {
    const dialect = DIALECTS[engine] ?? StandardSQL
    const words = { masked: t('verdict.masked'), refused: t('verdict.denied') }
    const sources = [keywordCompletionSource(dialect, true)]
    view.current?.dispatch({
      effects: [
        language.current.reconfigure([
          sql({ dialect, upperCaseKeywords: true }),
          autocompletion({
            override: connectionId ? [catalogSource(connectionId, { name: engine, engines }, words), ...sources] : sources,
            maxRenderedOptions: 60,
            activateOnTypingDelay: 80,
          }),
        ]),
        hint.current.reconfigure([
          placeholder(t('editor.placeholder')),
          EditorView.contentAttributes.of({ 'aria-label': t('editor.text'), spellcheck: 'false', autocorrect: 'off' }),
        ]),
      ],
    })
  }, [engine, engines, connectionId, t])

  useEffect(() => {
    const editor = view.current
    if (!editor) return
    editor.dispatch(setDiagnostics(editor.state, diagnosticsOf(run, editor.state.doc.toString())))
  }, [run])

  // A text that changed elsewhere (another window, a restored draft) replaces what is shown.
  useEffect(() => {
    const editor = view.current
    if (!editor || editor.state.doc.toString() === text) return
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } })
  }, [text])

  return <div className="qk-sql" ref={host} />
}
