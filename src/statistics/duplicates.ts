import type { Measurement } from './record.ts'

type Digested = Pick<Measurement, 'exact' | 'sample'> & { readonly name: string }

/**
 * Groups of parameters with the same bytes, as a seed used twice gives them. Constants and identities are equal by
 * their nature and say nothing.
 */
export function findDuplicates(records: readonly Digested[]): string[][] {
  const groups = new Map<string, string[]>()
  for (const { name, exact, sample } of records) {
    if (exact !== null || sample.min === sample.max) continue
    groups.set(sample.sha256, [...(groups.get(sample.sha256) ?? []), name])
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}
