/**
 * Tokens of a glob: `**` and a slash at the start of a segment, other asterisks, literal text. Runs are one
 * token.
 */
const GLOB_PARTS = /(?<![^/])(?:\*{2,}\/)+|\*+|[^*]+/g

/**
 * Compiles a glob for parameter names. One asterisk matches within a segment, two match across segments; a leading pair
 * with its slash may also match nothing. Every other character matches itself.
 */
export function nameMatcher(glob: string): (name: string) => boolean {
  const source = glob.replaceAll(GLOB_PARTS, (part) => {
    if (!part.startsWith('*')) return part.replaceAll(/[\\^$.+?()[\]{}|]/g, '\\$&')
    if (part.endsWith('/')) return '(?:.*/)?'
    return part.length > 1 ? '.*' : '[^/]*'
  })
  const pattern = new RegExp(`^${source}$`)
  return (name) => pattern.test(name)
}
