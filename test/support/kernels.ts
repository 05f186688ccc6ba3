/** Euclidean norm. */
export function frobenius(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

/**
 * Deviation of the shorter side's vectors of [prod(shape[:-1]), shape[-1]] from orthogonal vectors of length
 * gain.
 */
export function orthogonalityError(values: Float32Array, shape: readonly number[], gain: number): number {
  const columns = shape.at(-1) ?? 1
  const rows = values.length / columns
  const wide = rows < columns
  const at = (vector: number, index: number): number =>
    values[wide ? vector * columns + index : index * columns + vector] ?? NaN
  return gramError(Math.min(rows, columns), Math.max(rows, columns), at, () => 0, gain)
}

/**
 * Deviation of a kernel's convolution from one that multiplies every norm by gain. For each frequency of
 * circularly padded images that are one longer than the window, it compares the matrix of outputs [in, out]
 * with one whose rows are orthogonal and of length gain. Its singular values over gain deviate no more from
 * 1.
 */
export function isometryError(values: Float32Array, shape: readonly number[], gain: number): number {
  const window = shape.slice(0, -2)
  const [inputs = 1, outputs = 1] = shape.slice(-2)
  const taps = placesOf(window)
  const errors = placesOf(window.map((size) => size + 1)).map((frequency) => {
    const real = new Float64Array(inputs * outputs)
    const imaginary = new Float64Array(inputs * outputs)
    taps.forEach((tap, index) => {
      const turns = tap.reduce((sum, place, axis) => {
        const length = (window[axis] ?? 1) + 1
        return sum + (place * (frequency[axis] ?? 0)) / length
      }, 0)
      const [cos, sin] = [Math.cos(2 * Math.PI * turns), -Math.sin(2 * Math.PI * turns)]
      for (let entry = 0; entry < inputs * outputs; entry++) {
        const value = values[index * inputs * outputs + entry] ?? NaN
        real[entry] = (real[entry] ?? 0) + cos * value
        imaginary[entry] = (imaginary[entry] ?? 0) + sin * value
      }
    })
    const at = (part: Float64Array) => (row: number, column: number) => part[row * outputs + column] ?? NaN
    return gramError(inputs, outputs, at(real), at(imaginary), gain)
  })
  return Math.max(...errors)
}

type Entry = (vector: number, index: number) => number

/** Largest row sum of |V V* / gain^2 - I|, an upper bound of the deviation of its eigenvalues from 1. */
function gramError(count: number, length: number, real: Entry, imaginary: Entry, gain: number): number {
  let worst = 0
  for (let i = 0; i < count; i++) {
    let row = 0
    for (let j = 0; j < count; j++) {
      let [re, im] = [i === j ? -gain * gain : 0, 0]
      for (let k = 0; k < length; k++) {
        re += real(i, k) * real(j, k) + imaginary(i, k) * imaginary(j, k)
        im += imaginary(i, k) * real(j, k) - real(i, k) * imaginary(j, k)
      }
      row += Math.hypot(re, im) / (gain * gain)
    }
    worst = Math.max(worst, row)
  }
  return worst
}

/** All positions in a box, last axis fastest. */
function placesOf(sizes: readonly number[]): number[][] {
  return sizes.reduce<number[][]>(
    (places, size) => places.flatMap((place) => Array.from({ length: size }, (_, i) => [...place, i])),
    [[]],
  )
}
