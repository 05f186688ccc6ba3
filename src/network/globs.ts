/** Of a glob: `**` and a slash at the start of a segment, other stars, and what stands for itself. Runs are one. */
const GLOB_PARTS = /(?<![^/])(?:\*{2,}\/)+|\*+|[^*]+/g

/**
 * A matcher for parameter names. An asterisk stays within a segment, two go across: a leading pair and its slash may
 * also stand for nothing. Every other character is itself.
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
