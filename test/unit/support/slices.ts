import fc from 'fast-check'

/** Float32 values of moderate size, with zeros and duplicates. */
export const floats = (minLength: number, maxLength = 300) =>
  fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.float({ min: -100, max: 100, noNaN: true }) },
        { weight: 1, arbitrary: fc.constantFrom(0, -0, 1) },
      ),
      { minLength, maxLength },
    )
    .map((values) => Float32Array.from(values))

/** The positions of the cuts, as shares of the length. */
export const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 })

/** The values in slices, of which some are empty. */
export function sliced(values: Float32Array, shares: readonly number[]): Float32Array[] {
  const places = [0, ...shares.map((share) => Math.round(share * values.length)), values.length].sort(
    (a, b) => a - b,
  )
  return places.slice(1).map((end, index) => values.subarray(places[index] ?? 0, end))
}
