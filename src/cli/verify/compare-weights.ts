import { shownName } from '../../common/errors.ts'
import type { SafetensorsFile } from '../../formats/safetensors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Parameter } from '../../network/shapes.ts'

/** The tensors that a file lacks or has beyond the parameters, or that have another shape or dtype. One line each. */
export function compareNames({ tensors }: SafetensorsFile, parameters: readonly Parameter[]): string[] {
  const wrong = parameters.flatMap(({ name, shape }) => {
    const expected = describe({ dtype: 'F32', shape })
    const found = tensors.get(name)
    const got = found === undefined ? 'no such tensor' : describe(found)
    return got === expected ? [] : [`${name}: expected ${expected}, got ${got}`]
  })
  const known = new Set(parameters.map(({ name }) => name))
  const extra = [...tensors.values()].filter(({ name }) => !known.has(name))
  return [
    ...wrong,
    ...extra.map((tensor) => `${shownName(tensor.name)}: expected no such tensor, got ${describe(tensor)}`),
  ]
}

function describe({ dtype, shape }: { readonly dtype: string; readonly shape: readonly number[] }): string {
  return `${dtype} [${shape.join(', ')}]`
}

/** Compares the bits of a parameter with those of a file's tensor, slice by slice. */
export class TensorComparison {
  readonly #file: SafetensorsFile
  readonly #name: string
  readonly #size: number
  #offset = 0
  #differing = 0
  #first = ''

  private constructor(file: SafetensorsFile, name: string, size: number) {
    this.#file = file
    this.#name = name
    this.#size = size
  }

  /** Undefined if the file has no such tensor of this shape. */
  static open(
    file: SafetensorsFile,
    { name, shape }: Pick<Parameter, 'name' | 'shape'>,
  ): TensorComparison | undefined {
    const found = file.tensors.get(name)
    if (found === undefined || describe(found) !== describe({ dtype: 'F32', shape })) return undefined
    return new TensorComparison(file, name, sizeOf(shape))
  }

  /** Compares the next values of the parameter. */
  async add(values: Float32Array): Promise<void> {
    const stored = await this.#file.read(this.#name, this.#offset, values.length)
    const [expected, got] = [values, stored].map(viewBits)
    for (let index = 0; index < values.length; index++) {
      if (expected?.[index] === got?.[index]) continue
      if (this.#differing++ === 0) {
        const numbers = `expected ${show(values[index])}, got ${show(stored[index])}`
        this.#first = `the first at ${String(this.#offset + index)}: ${numbers}`
      }
    }
    this.#offset += values.length
  }

  /** One line if any value differs. */
  describe(): string[] {
    if (this.#differing === 0) return []
    const [differing, size] = [this.#differing, this.#size].map((count) => count.toLocaleString('en'))
    return [`${this.#name}: ${String(differing)} of ${String(size)} values differ, ${this.#first}`]
  }
}

function viewBits({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length)
}

/** A float32 with the nine digits that identify it. */
function show(value = NaN): string {
  return Object.is(value, -0) ? '-0' : String(Number(value.toPrecision(9)))
}
