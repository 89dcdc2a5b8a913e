export function isView(kind: string): boolean {
  return kind.includes('view')
}
