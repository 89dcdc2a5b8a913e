/** The statement under the cursor, as the dialect's own syntax tree cuts the text. */

import { ensureSyntaxTree } from '@codemirror/language'
import type { EditorState } from '@codemirror/state'

export interface TextPart {
  from: number
  to: number
}

const PARSE_MS = 200

/** Return the statement that the cursor stands in, or right behind; null in an empty text. */
export function statementAt(state: EditorState, position: number): TextPart | null {
  const tree = ensureSyntaxTree(state, state.doc.length, PARSE_MS)
  if (!tree) return { from: 0, to: state.doc.length }
  let found: TextPart | null = null
  for (let node = tree.topNode.firstChild; node; node = node.nextSibling) {
    if (node.name !== 'Statement') continue
    if (node.from > position) {
      const gap = found ? state.doc.sliceString(found.to, position) : ''
      if (found && !gap.includes('\n')) return found
      return { from: node.from, to: node.to }
    }
    found = { from: node.from, to: node.to }
    if (position <= node.to) return found
  }
  return found
}
