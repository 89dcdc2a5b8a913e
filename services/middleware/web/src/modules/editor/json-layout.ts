/** JSON laid out without touching its numbers: parsing would round large ones. */
export function layOutJson(text: string): string {
  let depth = 0
  let inString = false
  let out = ''
  const line = () => `\n${'  '.repeat(depth)}`
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    if (inString) {
      out += char
      if (char === '\\') {
        at += 1
        out += text.charAt(at)
      } else if (char === '"') inString = false
    } else if (char === '"') {
      inString = true
      out += char
    } else if (char === '{' || char === '[') {
      const closing = /^\s*[}\]]/.exec(text.slice(at + 1))
      if (closing) {
        out += char + closing[0].trim()
        at += closing[0].length
      } else {
        depth += 1
        out += char + line()
      }
    } else if (char === '}' || char === ']') {
      depth = Math.max(0, depth - 1)
      out += line() + char
    } else if (char === ',') out += char + line()
    else if (char === ':') out += ': '
    else if (!/\s/.test(char)) out += char
  }
  return out
}
