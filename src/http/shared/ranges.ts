import { createHash } from 'node:crypto'
import type { Range } from '../../serving/models/weights-stream.ts'

/** A strong ETag of a response that depends on `parts` alone. */
export function formatEtag(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return `"${hash.digest('hex').slice(0, 32)}"`
}

/** Whether If-None-Match matches a tag (RFC 9110, 13.1.2): a weak comparison, where `*` matches any. */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? []
  return tags.includes(etag) || tags.includes('*')
}

/** Parses a single byte range (RFC 9110, 14). Any other header selects the whole content. */
export function parseRange(
  header: string | undefined,
  ifRange: string | string[] | undefined,
  etag: string,
  length: number,
): Range | 'outside' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (!match || (ifRange !== undefined && ifRange !== etag)) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? length : Math.min(length, Number(last) + 1)
  return start >= length || start >= end ? 'outside' : { start, end }
}
