import { fieldError } from '../../common/errors.ts'
import type { RecordOptions } from '../../statistics/record.ts'

/** Selects a page of a list. `cursor` is the index of its first item. */
export function paginate<T>(
  items: readonly T[],
  { limit = 100, cursor }: { readonly limit?: number; readonly cursor?: string },
): { items: T[]; next_cursor: string | null } {
  const start = Number(cursor ?? '0')
  const end = start + limit
  return { items: items.slice(start, end), next_cursor: end < items.length ? String(end) : null }
}

/** Parses a list, or a comma-separated text, of known words. */
export function parseList<W extends string>(
  list: string | readonly string[] | undefined,
  known: readonly W[],
  pointer: string,
): Set<W> {
  const given = typeof list === 'string' ? list.split(',') : (list ?? [])
  const words = given.map((word) => word.trim()).filter((word) => word !== '')
  for (const word of words) {
    if (!known.includes(word as W))
      throw fieldError(pointer, `must be among ${known.join(', ')}; got ${JSON.stringify(word)}`)
  }
  return new Set(words as W[])
}

const INCLUDES = ['histogram', 'quantiles', 'spectrum', 'operator_spectrum'] as const

/** Parses the fields that a record contains besides its moments. */
export function parseRecordOptions({
  include,
  bins = 64,
}: {
  readonly include?: string | readonly string[]
  readonly bins?: number
}): RecordOptions {
  const words = parseList(include, INCLUDES, '#/include')
  return {
    histogram: words.has('histogram'),
    quantiles: words.has('quantiles'),
    spectrum: words.has('spectrum'),
    operatorSpectrum: words.has('operator_spectrum'),
    bins,
  }
}
