import { VARIABLE_SCOPE } from '../../network/parameters.ts'
import type { Variable } from '../../tensorflow/network-ops.ts'

/** The dense layer needs no gain: its infinities and NaN reach the logits. */
const DENSE = `${VARIABLE_SCOPE}/head/dense/`

/** Computes each variable's gain on magnitudes (`network/overflow.ts`) from its values. */
export class Gains {
  /** Sums of magnitudes into each output, by variable. */
  readonly #sums = new Map<string, Float64Array>()

  /** Adds whole rows of a variable. */
  add({ name, shape }: Variable, values: Float32Array | Int32Array): void {
    if (name.startsWith(DENSE)) return
    const columns = shape.at(-1) ?? 1
    const sums = this.#sums.get(name) ?? new Float64Array(columns)
    this.#sums.set(name, sums)
    for (let at = 0; at < values.length;)
      for (let column = 0; column < columns; column++, at++)
        sums[column] = (sums[column] ?? 0) + Math.abs(values[at] ?? 0)
  }

  /** The gain of a variable: NaN if its values are not finite, undefined if there is no such variable. */
  of(name: string): number | undefined {
    const sums = this.#sums.get(`${VARIABLE_SCOPE}/${name}`)
    if (sums === undefined) return undefined
    const gain = sums.reduce((most, sum) => Math.max(most, sum), 0)
    return Number.isFinite(gain) ? gain : NaN
  }
}
