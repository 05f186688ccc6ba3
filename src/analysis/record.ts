import type { Hash } from 'node:crypto'
import { fieldError } from '../errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import { operatorOperations } from '../statistics/operator-spectrum.ts'
import { measure, type Measurement, type RecordOptions, type TensorSource } from '../statistics/record.ts'
import {
  matrixOf,
  orthogonalGain,
  orthogonalityError,
  spectrumOf,
  spectrumOperations,
} from '../statistics/spectrum.ts'
import type { Spectra } from './spectra.ts'

/** Half a minute of two cores, about; ResNet-152's 156 kernels take a third of it. */
const MAX_OPERATIONS = 2e11
/** A matrix is held whole, in float64 as well: 400 MB. */
const MAX_MATRIX = 2 ** 25

export interface Also {
  /** Takes the bytes in once, in order. */
  readonly hash?: Hash
  /** Is shown every slice, and where in the tensor it starts. */
  readonly look?: (values: Float32Array, offset: number) => Promise<void>
}

/** A tensor's whole record: what one pass over it tells, and its spectra where they are asked for. */
export async function recordOf(
  source: TensorSource,
  options: RecordOptions,
  spectra: Spectra,
  { hash, look }: Also = {},
): Promise<Measurement> {
  const { shape, law } = source
  const gain = orthogonalGain(law)
  const spectrum = options.spectrum && matrixOf(shape) !== null
  const operator = options.operatorSpectrum
  const whole = spectrum || operator || gain !== undefined ? new WholeTensor(sizeOf(shape)) : undefined
  let offset = 0
  const record = await measure(source, options, async (values) => {
    hash?.update(values)
    whole?.add(values, offset)
    await look?.(values, offset)
    offset += values.length
  })
  // What is not a number has no spectrum.
  if (whole === undefined || record.sample.non_finite > 0) return record
  const eigenvalues = spectrum || gain !== undefined ? spectra.eigenvalues(whole.values, shape) : undefined
  const convolution = operator ? spectra.operator(whole.values, shape) : null
  return {
    ...record,
    ...(eigenvalues && gain !== undefined
      ? { orthogonality_error: orthogonalityError(eigenvalues, gain) }
      : {}),
    ...(eigenvalues && spectrum ? { spectrum: spectrumOf(eigenvalues, shape, law) } : {}),
    ...(convolution ? { operator_spectrum: convolution } : {}),
  }
}

/** INVALID_REQUEST where the spectra asked for would take too long, or one of them too much memory. */
export function assertAffordable(
  tensors: readonly { readonly name?: string; readonly shape: readonly number[] }[],
  { spectrum, operatorSpectrum }: RecordOptions,
): void {
  const costs = tensors.map(({ name, shape }) => ({
    name: name ?? `[${shape.join(', ')}]`,
    operations:
      (spectrum ? spectrumOperations(shape) : 0) + (operatorSpectrum ? operatorOperations(shape) : 0),
    values: sizeOf(shape),
  }))
  const dearest = costs.sort((a, b) => b.operations - a.operations).slice(0, 3)
  const list = dearest.map((cost) => `${cost.name} (${said(cost.operations)})`).join(', ')
  const cure = `leave some out by ?parameters=; the dearest are ${list}`
  const operations = costs.reduce((sum, cost) => sum + cost.operations, 0)
  if (operations > MAX_OPERATIONS) {
    const cost = `${said(operations)} operations, more than ${said(MAX_OPERATIONS)}`
    throw fieldError('#/include', `asks for spectra that cost ${cost}; ${cure}`)
  }
  const large = costs.find((cost) => cost.operations > 0 && cost.values > MAX_MATRIX)
  if (large !== undefined) {
    const cost = `${said(large.values)} values in memory, more than ${said(MAX_MATRIX)}`
    throw fieldError('#/include', `asks for the spectrum of ${large.name}, which costs ${cost}; ${cure}`)
  }
}

function said(count: number): string {
  return count.toExponential(1)
}

/** A tensor put together of its slices; one that comes whole is not copied. */
class WholeTensor {
  readonly #size: number
  values: Float32Array = new Float32Array()

  constructor(size: number) {
    this.#size = size
  }

  add(slice: Float32Array, offset: number): void {
    if (slice.length === this.#size) {
      this.values = slice
      return
    }
    if (offset === 0) this.values = new Float32Array(this.#size)
    this.values.set(slice, offset)
  }
}
