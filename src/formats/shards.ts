import { quoteName, invalidWeights } from '../common/errors.ts'
import type { WeightsPart } from './weights-file.ts'

/** Each shard is an open file. A ResNet-152 in shards of 4 MB, the default of tfjs, has 60. */
const MAX_SHARDS = 512

/**
 * Finds the part of each shard that an index names, by file name. `what` describes the index in errors. Throws
 * INVALID_WEIGHTS for a missing, repeated or unused shard, and for a name with a directory.
 */
export function matchShards(
  names: ReadonlySet<string>,
  parts: readonly WeightsPart[],
  what: string,
): ReadonlyMap<string, WeightsPart> {
  if (names.size > MAX_SHARDS)
    throw invalidWeights(
      `${what} names ${String(names.size)} shards; at most ${String(MAX_SHARDS)} are allowed`,
    )
  for (const name of names) {
    if (name === '' || name !== fileName(name) || name === '.' || name === '..')
      throw invalidWeights(
        `${what} names the shard ${quoteName(name)}; a shard must be a file without a directory`,
      )
  }
  const found = new Map<string, WeightsPart>()
  for (const part of parts) {
    const name = fileName(part.name)
    if (!names.has(name))
      throw invalidWeights(`has the part ${quoteName(name)}, which ${what} does not name; leave it out`)
    if (found.has(name)) throw invalidWeights(`has the part ${quoteName(name)} twice; send it once`)
    found.set(name, part)
  }
  const missing = [...names].filter((name) => !found.has(name))
  if (missing.length > 0) throw invalidWeights(missingText(missing, names.size, what))
  return found
}

function missingText(missing: readonly string[], total: number, what: string): string {
  const [first = ''] = missing
  const more = missing.length > 1 ? ` and ${String(missing.length - 1)} more` : ''
  return `lacks the shard ${quoteName(first)}${more} of the ${String(total)} that ${what} names; send each as a part "weights" with its file name`
}

function fileName(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
}
