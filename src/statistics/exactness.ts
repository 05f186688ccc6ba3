import { sizeOf } from '../initializers/fans.ts'
import { valueAt, type FixedLaw } from '../initializers/law.ts'

/** Compares the values of a tensor, in slices, with a law without randomness, bit for bit. */
export class Exactness {
  readonly #size: number
  readonly #entry: (index: number) => number
  #passed = 0
  #exact = true

  constructor(law: FixedLaw, shape: readonly number[]) {
    this.#size = sizeOf(shape)
    this.#entry = expectedEntry(law, shape)
  }

  add(values: Float32Array): void {
    const entry = this.#entry
    const passed = this.#passed
    this.#exact &&= values.every((value, index) => Object.is(value, entry(passed + index)))
    this.#passed += values.length
  }

  result(): boolean {
    return this.#exact && this.#passed === this.#size
  }
}

/** Returns a function from a row-major index to the float32 value. */
function expectedEntry(law: FixedLaw, shape: readonly number[]): (index: number) => number {
  switch (law.kind) {
    case 'constant':
      return () => law.value
    case 'values':
      return valueAt(law, shape)
    case 'identity': {
      const columns = shape.at(-1) ?? 1
      const gain = Math.fround(law.gain)
      return (index) => (Math.floor(index / columns) === index % columns ? gain : gain * 0)
    }
    case 'dirac': {
      const [inputs = 1, outputs = 1] = shape.slice(-2)
      const tap = shape.slice(0, -2).reduce((index, size) => index * size + Math.floor(size / 2), 0)
      const group = outputs / law.groups
      const gain = Math.fround(law.gain)
      return (index) => {
        const input = Math.floor(index / outputs) - tap * inputs
        return input >= 0 && input < inputs && input === (index % outputs) % group ? gain : 0
      }
    }
  }
}
