import { createHash } from 'node:crypto'
import { dtypeNamed } from '../../formats/dtypes.ts'
import type { SafetensorsFile } from '../../formats/safetensors.ts'
import { fansOf, sizeOf } from '../../initializers/fans.ts'
import type { Initializer } from '../../initializers/initializer.ts'
import { deriveStream } from '../../initializers/seeds.ts'
import { candidatesFor, kerasShape, type Layout } from '../../statistics/candidates.ts'
import { hasFewLevels, Precision } from '../../statistics/coarseness.ts'
import { fitCandidate, type Evidence, type RankedFit, type Verdict } from '../../statistics/fit.ts'
import { judge, type Judgement } from '../../statistics/judgement.ts'
import { MomentSums, type SampleMoments } from '../../statistics/moments.ts'
import { matrixOf, spectrumOperations } from '../../statistics/spectrum.ts'
import { identityIn, isGateBias } from '../../statistics/structures.ts'
import { Subsample } from '../../statistics/subsample.ts'
import type { FittedTensor } from '../contract.ts'
import { isometryIn } from './isometries.ts'
import { SLICE } from '../../tensorflow/sampler.ts'
import type { Spectra } from './spectra.ts'

export type Tensor = SafetensorsFile['tensors'] extends ReadonlyMap<string, infer T> ? T : never

/** The result for one tensor, before the other tensors of the file are considered. */
export interface TensorFit {
  readonly tensor: Omit<FittedTensor, 'candidates'>
  readonly fits: readonly RankedFit[]
}

/** Values that are compared with a law's distribution: all values of most tensors. */
const SORTED = SLICE
const SAMPLE_SEED = 21
/** With a larger relative rounding, values may hide a small training step. */
const FINE = 2 ** -20
/** The largest singular value is not computed for larger kernels. */
const MAX_OPERATIONS = 2e10
/**
 * torch's trunc_normal_ turns one float32 uniform in 16 million into -Infinity and clips it to the bound, by
 * default -2, however small the standard deviation.
 */
const STRAY = -2
const STRAY_ABOVE_STD = 0.2

/**
 * Finds the initializers that a tensor may come from, without regard to other tensors. Tensors of at most a slice
 * are held in memory whole.
 */
export async function fitTensor(
  file: SafetensorsFile,
  { name, shape, dtype }: Tensor,
  layout: Layout,
  spectra: Spectra,
): Promise<TensorFit> {
  const known = dtypeNamed(dtype)
  const about = { name, shape: [...shape], dtype }
  const size = sizeOf(shape)
  if (known === undefined) {
    const tensor = {
      ...about,
      sample: null,
      verdict: 'undecided' as const,
      note: `${dtype} is not supported`,
    }
    return { tensor, fits: [] }
  }
  const hash = createHash('sha256')
  const precision = new Precision()
  const all = await collect(file, name, size, (values) => {
    hash.update(values)
    precision.add(values)
    return values
  })
  const { moments, whole } = all
  const sample = { ...moments, sha256: hash.digest('hex') }
  const tensor = (judgement: Judgement) => ({ ...about, sample, ...judgement })
  const undecided = (note: string): TensorFit => ({
    tensor: tensor({ verdict: 'undecided', note }),
    fits: [],
  })
  const single = (
    verdict: Verdict,
    initializer: Initializer,
    kind: RankedFit['kind'] = 'structure',
  ): TensorFit => ({
    tensor: tensor({ verdict }),
    fits: [{ initializer, p_value: 1, std_ratio: null, logLikelihood: 0, kind }],
  })

  if (size === 0) return undecided('the tensor is empty')
  if (moments.non_finite > 0) return undecided(`${String(moments.non_finite)} values are not finite`)
  if (moments.min === moments.max) return single('constant', constantInitializer(moments.min))
  if (known.epsilon === 0) return undecided(`no initializer draws ${dtype}`)
  if (isGateBias(whole, shape)) {
    const note = 'zeros and blocks of ones, the usual initial biases of gates'
    return { tensor: tensor({ verdict: 'fresh', note }), fits: [] }
  }
  const epsilon = Math.max(known.epsilon, precision.result())
  const structure = moments.zeros > 0 ? identityIn(whole, shape, layout) : undefined
  if (structure) return single('fresh', structure)

  const strays = moments.min === STRAY && moments.std < STRAY_ABOVE_STD
  const drawn = strays
    ? await collect(file, name, size, (values) => values.map((value) => (value === STRAY ? 0 : value)))
    : all
  // The weights of a filter are a column, or in torch's layout a row.
  const flat = layout === 'torch' && shape.length >= 2 ? [shape[0] ?? 1, size / (shape[0] ?? 1)] : shape
  const eigenvalues =
    whole.length > 0 && shape.length >= 2 && spectrumOperations(flat) <= MAX_OPERATIONS
      ? spectra.eigenvalues(drawn.whole, flat)
      : undefined
  const isometry = eigenvalues && isometryIn(spectra, { whole, shape, layout, eigenvalues, epsilon })
  if (isometry) return single('fresh', isometry, epsilon > FINE ? 'rounded_structure' : 'structure')

  const matrix = matrixOf(flat)
  const evidence: Evidence = {
    ...{ sample: drawn.moments, size, epsilon, sorted: drawn.kept.sorted() },
    ...(eigenvalues && matrix ? { largestSquare: { eigenvalue: eigenvalues.at(-1) ?? 0, ...matrix } } : {}),
  }
  const fits = candidatesFor(shape, layout, biasFan(file, name, shape, layout)).map((candidate) =>
    fitCandidate(candidate, evidence),
  )
  const coarse = whole.length > 0 && hasFewLevels(whole, shape)
  return { tensor: tensor(judge(fits, evidence, { shape, coarse })), fits }
}

interface Values {
  readonly moments: SampleMoments
  readonly kept: Subsample
  /** All values; empty if the tensor is larger than a slice. */
  readonly whole: Float32Array
}

/** Reads a tensor in slices and applies `edit` to each. */
async function collect(
  file: SafetensorsFile,
  name: string,
  size: number,
  edit: (values: Float32Array) => Float32Array,
): Promise<Values> {
  const kept = new Subsample(size, SORTED, deriveStream([SAMPLE_SEED, 0]))
  const moments = new MomentSums()
  let whole: Float32Array = new Float32Array()
  for (let offset = 0; offset < size; offset += SLICE) {
    const values = edit(await file.read(name, offset, Math.min(SLICE, size - offset)))
    moments.add(values)
    kept.add(values)
    if (values.length === size) whole = values
  }
  return { moments: moments.result(), kept, whole }
}

function constantInitializer(value: number): Initializer {
  if (value === 0) return { class_name: 'Zeros', config: {} }
  return value === 1 ? { class_name: 'Ones', config: {} } : { class_name: 'Constant', config: { value } }
}

/**
 * The fan_in of the kernel that belongs to a bias, which torch's and Equinox's biases depend on. Equinox's biases
 * of convolutions have axes of size 1 for the image.
 */
function biasFan(
  { tensors }: SafetensorsFile,
  name: string,
  shape: readonly number[],
  layout: Layout,
): number | undefined {
  if (shape.filter((length) => length > 1).length > 1 || !name.endsWith('bias')) return undefined
  const stem = name.slice(0, -'bias'.length)
  const kernel = tensors.get(`${stem}weight`) ?? tensors.get(`${stem}kernel`)
  if (kernel === undefined || kernel.shape.length < 2) return undefined
  return fansOf(kerasShape(kernel.shape, layout)).fanIn
}
