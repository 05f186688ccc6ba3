/**
 * Order of float32 values by their bits: as integers, with the bits of negative numbers inverted, they sort as the
 * numbers do. -0 precedes 0; NaN is not supported.
 */
const DIGIT_BITS = 11
const DIGITS = 3
const SIGN = 0x80000000
/** Below this size comparison sort is faster. */
const SMALL = 4096

/** Sorts in place by radix: three passes of eleven bits. */
export function sortFloats(values: Float32Array): Float32Array {
  if (values.length < SMALL) return values.sort()
  let from: Uint32Array = toKeys(values)
  let to: Uint32Array = new Uint32Array(from.length)
  for (let digit = 0; digit < DIGITS; digit++) {
    const shift = digit * DIGIT_BITS
    const offsets = countDigits(from, shift)
    for (let index = 0, sum = 0; index < offsets.length; index++) {
      const count = offsets[index] ?? 0
      offsets[index] = sum
      sum += count
    }
    const { length } = from
    for (let index = 0; index < length; index++) {
      const key = from[index] ?? 0
      const bucket = (key >>> shift) & (2 ** DIGIT_BITS - 1)
      const offset = offsets[bucket] ?? 0
      to[offset] = key
      offsets[bucket] = offset + 1
    }
    ;[from, to] = [to, from]
  }
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  for (let index = 0; index < bits.length; index++) {
    const key = from[index] ?? 0
    bits[index] = key ^ ((~key >> 31) | SIGN)
  }
  return values
}

function toKeys(values: Float32Array): Uint32Array {
  const keys = new Uint32Array(values.buffer, values.byteOffset, values.length).slice()
  for (let index = 0; index < keys.length; index++) keys[index] = toKey(keys[index] ?? 0)
  return keys
}

/** Branch-free, because random signs would mispredict half of the branches. */
function toKey(bits: number): number {
  return (bits ^ ((bits >> 31) | SIGN)) >>> 0
}

function countDigits(keys: Uint32Array, shift: number): Uint32Array {
  const counts = new Uint32Array(2 ** DIGIT_BITS)
  const { length } = keys
  for (let index = 0; index < length; index++) {
    const bucket = ((keys[index] ?? 0) >>> shift) & (2 ** DIGIT_BITS - 1)
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  return counts
}

/**
 * The values at the given ranks, without a full sort: values are counted by the upper half of their bits, and only
 * those that share it with a wanted one are sorted. Ranks must be below the number of values.
 */
export function valuesAtRanks(values: Float32Array, ranks: readonly number[]): Map<number, number> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const counts = new Uint32Array(2 ** 16)
  const { length } = bits
  for (let index = 0; index < length; index++) {
    const bucket = toKey(bits[index] ?? 0) >>> 16
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  let bucket = 0
  let before = 0
  const wanted = ranks
    .toSorted((a, b) => a - b)
    .map((rank) => {
      while (before + (counts[bucket] ?? Infinity) <= rank) before += counts[bucket++] ?? 0
      return { rank, bucket, within: rank - before }
    })
  const parts = new Map(
    wanted.map(({ bucket }) => [bucket, { values: new Float32Array(counts[bucket] ?? 0), taken: 0 }]),
  )
  const isWanted = new Uint8Array(2 ** 16)
  for (const bucket of parts.keys()) isWanted[bucket] = 1
  for (let index = 0; index < length; index++) {
    const bucket = toKey(bits[index] ?? 0) >>> 16
    const part = isWanted[bucket] === 1 ? parts.get(bucket) : undefined
    if (part) part.values[part.taken++] = values[index] ?? 0
  }
  for (const part of parts.values()) sortFloats(part.values)
  return new Map(
    wanted.map(({ rank, bucket, within }) => [rank, parts.get(bucket)?.values[within] ?? Number.NaN]),
  )
}
