import type { Network } from './draw-network.ts'
import type { ModelRecord } from './read-given.ts'

/** The differences of a record from the network of the specification, one line each. */
export function compareRecord({ id, digest }: Network, record: ModelRecord): string[] {
  const pairs = [
    ['id', id, record.id],
    ['weights_sha256', digest, record.weights_sha256],
  ] as const
  return pairs.flatMap(([field, expected, got]) =>
    got === undefined || got === expected ? [] : [`${field}: expected ${expected}, got ${got}`],
  )
}
