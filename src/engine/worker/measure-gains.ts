import { VARIABLE_SCOPE } from '../../network/parameters.ts'
import type { Variable } from '../../tensorflow/network-ops.ts'

/** Infinities and NaN that the dense layer makes are in the logits, so its gain is not needed. */
const DENSE = `${VARIABLE_SCOPE}/head/dense/`

/** What each variable makes of magnitudes (`network/overflow.ts`), from the values that it holds. */
export class Gains {
  /** By variable: the sum of magnitudes into each output. */
  readonly #sums = new Map<string, Float64Array>()

  /** Whole rows of a variable. */
  add({ name, shape }: Variable, values: Float32Array | Int32Array): void {
    if (name.startsWith(DENSE)) return
    const columns = shape.at(-1) ?? 1
    const sums = this.#sums.get(name) ?? new Float64Array(columns)
    this.#sums.set(name, sums)
    for (let at = 0; at < values.length;)
      for (let column = 0; column < columns; column++, at++)
        sums[column] = (sums[column] ?? 0) + Math.abs(values[at] ?? 0)
  }

  /** NaN where the variable's values are not finite; undefined where there is no such variable. */
  of(name: string): number | undefined {
    const sums = this.#sums.get(`${VARIABLE_SCOPE}/${name}`)
    if (sums === undefined) return undefined
    const gain = sums.reduce((most, sum) => Math.max(most, sum), 0)
    return Number.isFinite(gain) ? gain : NaN
  }
}
