import { fieldError } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { operatorOperations } from '../../statistics/operator-spectrum.ts'
import type { Measurement, RecordOptions, TensorSource } from '../../statistics/record.ts'
import {
  isIsometric,
  matrixOf,
  orthogonalGain,
  orthogonalityError,
  computeSpectrum,
  spectrumOperations,
} from '../../statistics/spectrum.ts'
import type { StatisticsPass } from './statistics-thread-client.ts'
import type { Spectra } from './spectra.ts'

/** Limit of the operations for spectra. ResNet-152's kernels need a quarter of it. */
const MAX_OPERATIONS = 2e11
/** Limit of a matrix's values. It is held whole and in float64: 400 MB. */
const MAX_MATRIX = 2 ** 25

/** The tools for computing a record. */
export interface Instruments {
  readonly measuring: StatisticsPass
  readonly spectra: Spectra
}

/**
 * Computes a tensor's record from one pass, and its spectra if requested. Resolves when the tensor is no longer
 * read; the record may be pending. `look` receives every slice and its offset in the tensor.
 */
export async function computeRecord(
  source: TensorSource,
  options: RecordOptions,
  { measuring, spectra }: Instruments,
  look?: (values: Float32Array, offset: number) => Promise<void>,
): Promise<{ record: Measurement | Promise<Measurement> }> {
  const { shape, law } = source
  const gain = orthogonalGain(law)
  const spectrum = options.spectrum && matrixOf(shape) !== null
  const operator = options.operatorSpectrum
  const whole = spectrum || operator || gain !== undefined ? new Float32Array(sizeOf(shape)) : undefined
  let offset = 0
  const { record } = await measuring.measure(source, options, async (values) => {
    whole?.set(values, offset)
    await look?.(values, offset)
    offset += values.length
  })
  if (whole === undefined) return { record }
  const measured = await record
  // Non-finite values have no spectrum.
  if (measured.sample.non_finite > 0) return { record: measured }
  const byInputs = isIsometric(law)
  const flattened = spectrum || (gain !== undefined && !byInputs)
  const eigenvalues = flattened ? spectra.eigenvalues(whole, shape) : undefined
  const gram = byInputs ? spectra.eigenvaluesBy(whole, shape, shape.length - 2) : eigenvalues
  const convolution = operator ? spectra.operator(whole, shape) : null
  return {
    record: {
      ...measured,
      ...(gram && gain !== undefined ? { orthogonality_error: orthogonalityError(gram, gain) } : {}),
      ...(eigenvalues && spectrum ? { spectrum: computeSpectrum(eigenvalues, shape, law) } : {}),
      ...(convolution ? { operator_spectrum: convolution } : {}),
    },
  }
}

/** Throws INVALID_REQUEST if the requested spectra take too long, or one of them too much memory. */
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
  const costliest = costs.sort((a, b) => b.operations - a.operations).slice(0, 3)
  const list = costliest.map((cost) => `${cost.name} (${formatCount(cost.operations)})`).join(', ')
  const cure =
    costs.length > 1
      ? `exclude some with ?parameters=; the most expensive are ${list}`
      : `omit the spectrum of ${list}`
  const operations = costs.reduce((sum, cost) => sum + cost.operations, 0)
  if (operations > MAX_OPERATIONS) {
    const cost = `${formatCount(operations)} operations, more than ${formatCount(MAX_OPERATIONS)}`
    throw fieldError('#/include', `requests spectra that cost ${cost}; ${cure}`)
  }
  const large = costs.find((cost) => cost.operations > 0 && cost.values > MAX_MATRIX)
  if (large !== undefined) {
    const cost = `${formatCount(large.values)} values in memory, more than ${formatCount(MAX_MATRIX)}`
    throw fieldError('#/include', `requests the spectrum of ${large.name}, which costs ${cost}; ${cure}`)
  }
}

function formatCount(count: number): string {
  return count.toExponential(1)
}
