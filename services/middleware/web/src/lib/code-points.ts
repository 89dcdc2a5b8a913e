/**
 * The server counts characters as Unicode code points, the browser as UTF-16 units. Texts without
 * astral characters (nearly all) are told apart once and cost nothing.
 */

const ASTRAL = /[\uD800-\uDBFF]/

/** Return how many code points stand before a UTF-16 offset. */
export function toCodePoints(text: string, utf16: number): number {
  const head = text.slice(0, utf16)
  if (!ASTRAL.test(head)) return head.length
  return [...head].length
}

/** Return the UTF-16 offset behind so many code points; past the end gives the text's length. */
export function toUtf16(text: string, codePoints: number): number {
  if (!ASTRAL.test(text)) return Math.min(codePoints, text.length)
  let offset = 0
  let left = codePoints
  while (left > 0 && offset < text.length) {
    const unit = text.charCodeAt(offset)
    offset += unit >= 0xd800 && unit <= 0xdbff ? 2 : 1
    left -= 1
  }
  return Math.min(offset, text.length)
}
