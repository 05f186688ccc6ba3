import type { RecordOptions } from '../statistics/record.ts'
import { listOf } from './paging.ts'

interface RecordRequest {
  readonly include?: string | readonly string[]
  readonly bins?: number
}

/** What a record is asked to hold beyond its moments; the words come as a list or separated by commas. */
export function recordOptions({ include, bins = 64 }: RecordRequest): RecordOptions {
  const words = listOf(include, ['histogram', 'quantiles'], '#/include')
  return { histogram: words.has('histogram'), quantiles: words.has('quantiles'), bins }
}
