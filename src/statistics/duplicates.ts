import type { Measurement } from './record.ts'

type Digested = Pick<Measurement, 'exact' | 'sample'> & { readonly name: string }

/**
 * Groups of parameters with the same bytes, which a repeated seed causes. Constants and identities are excluded.
 */
export function findDuplicates(records: readonly Digested[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const { name, exact, sample } of records) {
    if (exact !== null || sample.min === sample.max) continue
    groups.set(sample.sha256, [...(groups.get(sample.sha256) ?? []), name])
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}
