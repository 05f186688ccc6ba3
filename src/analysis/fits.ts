import { createHash } from 'node:crypto'
import { betweenSteps, type Job } from '../control.ts'
import { dtypeNamed } from '../formats/dtypes.ts'
import { openSafetensors, type SafetensorsFile } from '../formats/safetensors.ts'
import { fieldError } from '../errors.ts'
import { fansOf, sizeOf } from '../initializers/fans.ts'
import type { Initializer } from '../initializers/initializer.ts'
import { streamOf } from '../initializers/seeds.ts'
import { candidatesFor, kerasShape, type Layout } from '../statistics/candidates.ts'
import { hasFewLevels, Precision } from '../statistics/coarseness.ts'
import {
  fitOf,
  ranked,
  REJECT_BELOW,
  type Evidence,
  type Fit,
  type RankedFit,
  type Verdict,
} from '../statistics/fit.ts'
import { judge, type Judgement } from '../statistics/judgement.ts'
import { MomentSums } from '../statistics/moments.ts'
import { matrixOf, spectrumOperations } from '../statistics/spectrum.ts'
import { identityIn, isGateBias, onlyTap, orthogonalGainOf } from '../statistics/structures.ts'
import { Subsample } from '../statistics/subsample.ts'
import type { FittedTensor, FittedWeights } from './analysis.ts'
import { SLICE } from './sampler.ts'
import type { Spectra } from './spectra.ts'

type Tensor = SafetensorsFile['tensors'] extends ReadonlyMap<string, infer T> ? T : never

/** Training that moves so few values by a tenth of their length moves no statistic of theirs that would show. */
const TELLING_ALONE = 2 ** 15

/** Candidates told of every tensor. */
const TOLD = 5
/** Values held against a law's distribution: all of most tensors. */
const SORTED = SLICE
const SAMPLE_SEED = 21
/** Values with fewer bits than this says hide a small step. */
const FINE = 2 ** -20
/** Larger kernels are judged without their largest singular value. */
const MAX_OPERATIONS = 2e10

/** What is found of a tensor before the rest of its file is known. */
interface Found {
  readonly tensor: Omit<FittedTensor, 'candidates'>
  readonly fits: readonly RankedFit[]
}

/**
 * Which initializers the tensors of any safetensors file may come from. One tensor is held at a time, the largest in
 * part. INVALID_WEIGHTS where there is no tensor.
 */
export async function fitWeights(
  path: string,
  spectra: Spectra,
  given: Layout | undefined,
  job: Job,
): Promise<FittedWeights> {
  const file = await openSafetensors(path)
  try {
    if (file.tensors.size === 0) throw fieldError('#/weights', 'holds no tensor', 'INVALID_WEIGHTS')
    const layout = given ?? layoutOf(file)
    const found: Found[] = []
    for (const tensor of file.tensors.values()) {
      await betweenSteps(job)
      found.push(await find(file, tensor, layout, spectra))
    }
    const votes = votesOf(found)
    const trained = found.some(({ tensor }) => tensor.verdict === 'trained')
    const parameters = found.map(({ tensor, fits }) => ({
      ...tensor,
      ...(trained && tensor.verdict === 'fresh' ? amongTrained(sizeOf(tensor.shape), fits) : {}),
      candidates: best(ranked(fits, (initializer) => votes.get(JSON.stringify(initializer)) ?? 0)),
    }))
    return { layout, parameters }
  } finally {
    await file.close()
  }
}

/**
 * Networks are trained as a whole. A fresh tensor of one that is trained is called fresh where a step would have shown:
 * where it has a structure, which any step destroys, or bounds and so many values that some would have left them.
 */
function amongTrained(size: number, fits: readonly RankedFit[]): Judgement {
  const kinds = fits.filter(({ p_value }) => p_value >= REJECT_BELOW).map(({ kind }) => kind)
  if (kinds.every((kind) => kind === 'structure')) return { verdict: 'fresh' }
  const bounded = kinds.every((kind) => kind === 'uniform' || kind === 'truncated_normal')
  if (bounded && size >= TELLING_ALONE) return { verdict: 'fresh' }
  const reason = bounded ? 'it is too small to tell' : 'it has nothing by which a small step would show'
  return { verdict: 'undecided', note: `${reason}, among tensors that are trained` }
}

/** torch calls kernels weights; whoever else writes `format: pt` calls them kernels. */
function layoutOf({ tensors, metadata }: SafetensorsFile): Layout {
  const names = [...tensors.keys()]
  if (names.some((name) => name.endsWith('kernel'))) return 'keras'
  return names.some((name) => name.endsWith('weight')) || metadata['format'] === 'pt' ? 'torch' : 'keras'
}

/** How many tensors each initializer explains. */
function votesOf(found: readonly Found[]): Map<string, number> {
  const votes = new Map<string, number>()
  for (const { fits } of found) {
    const accepted = fits.filter(({ p_value }) => p_value >= REJECT_BELOW)
    for (const key of new Set(accepted.map(({ initializer }) => JSON.stringify(initializer))))
      votes.set(key, (votes.get(key) ?? 0) + 1)
  }
  return votes
}

/** The first of each initializer: one that reads a shape in several ways is told once. */
function best(fits: readonly RankedFit[]): Fit[] {
  const names = fits.map(({ initializer }) => JSON.stringify(initializer))
  return fits
    .filter((_, index) => names.indexOf(names[index] ?? '') === index)
    .slice(0, TOLD)
    .map(({ initializer, p_value, std_ratio }) => ({ initializer, p_value, std_ratio }))
}

async function find(
  file: SafetensorsFile,
  { name, shape, dtype }: Tensor,
  layout: Layout,
  spectra: Spectra,
): Promise<Found> {
  const known = dtypeNamed(dtype)
  const about = { name, shape: [...shape], dtype }
  const size = sizeOf(shape)
  if (known === undefined) {
    const tensor = { ...about, sample: null, verdict: 'undecided' as const, note: `${dtype} is not read` }
    return { tensor, fits: [] }
  }
  const kept = new Subsample(size, SORTED, streamOf([SAMPLE_SEED, 0]))
  const precision = new Precision()
  const moments = new MomentSums()
  const hash = createHash('sha256')
  let whole: Float32Array = new Float32Array()
  for (let offset = 0; offset < size; offset += SLICE) {
    const values = await file.read(name, offset, Math.min(SLICE, size - offset))
    moments.add(values)
    precision.add(values)
    hash.update(values)
    kept.add(values)
    if (values.length === size) whole = values
  }
  const sample = { ...moments.result(), sha256: hash.digest('hex') }
  const tensor = (judgement: Judgement) => ({ ...about, sample, ...judgement })
  const undecided = (note: string): Found => ({ tensor: tensor({ verdict: 'undecided', note }), fits: [] })
  const one = (verdict: Verdict, initializer: Initializer, kind: RankedFit['kind'] = 'structure'): Found => ({
    tensor: tensor({ verdict }),
    fits: [{ initializer, p_value: 1, std_ratio: null, logLikelihood: 0, kind }],
  })

  if (size === 0) return undecided('it is empty')
  if (sample.non_finite > 0) return undecided(`${String(sample.non_finite)} values are not finite`)
  if (sample.min === sample.max) return one('constant', constantOf(sample.min))
  if (known.epsilon === 0) return undecided(`no initializer draws ${dtype}`)
  if (isGateBias(whole, shape))
    return {
      tensor: tensor({ verdict: 'fresh', note: 'zeros and blocks of ones, as biases of gates begin' }),
      fits: [],
    }
  const epsilon = Math.max(known.epsilon, precision.result())
  const structure = sample.zeros > 0 ? identityIn(whole, shape, layout) : undefined
  if (structure) return one('fresh', structure)
  // A filter's weights lie in a column, or in one of torch's rows.
  const flat = layout === 'torch' && shape.length >= 2 ? [shape[0] ?? 1, size / (shape[0] ?? 1)] : shape
  const eigenvalues =
    whole.length > 0 && shape.length >= 2 && spectrumOperations(flat) <= MAX_OPERATIONS
      ? spectra.eigenvalues(whole, flat)
      : undefined
  const isometry = eigenvalues && isometryIn(spectra, { whole, shape, layout, eigenvalues, epsilon })
  if (isometry) return one('fresh', isometry, epsilon > FINE ? 'rounded_structure' : 'structure')

  const matrix = matrixOf(flat)
  const sorted = kept.sorted()
  const evidence: Evidence = {
    ...{ sample, size, epsilon, sorted },
    ...(eigenvalues && matrix ? { largestSquare: { eigenvalue: eigenvalues.at(-1) ?? 0, ...matrix } } : {}),
  }
  const fits = candidatesFor(shape, layout, biasFan(file, name, shape, layout)).map((candidate) =>
    fitOf(candidate, evidence),
  )
  const coarse = whole.length > 0 && hasFewLevels(whole, shape)
  return { tensor: tensor(judge(fits, evidence, { shape, coarse })), fits }
}

interface Kernel {
  readonly whole: Float32Array
  readonly shape: readonly number[]
  readonly layout: Layout
  /** Of the flattened kernel. */
  readonly eigenvalues: Float64Array
  readonly epsilon: number
}

/** What keeps norms: as a convolution, at one tap or at several, or flattened. */
function isometryIn(
  spectra: Spectra,
  { whole, shape, layout, eigenvalues, epsilon }: Kernel,
): Initializer | undefined {
  const dimensions = shape.length - 2
  if (dimensions >= 1 && dimensions <= 3) {
    const tap = onlyTap(whole, shape, layout)
    const tapGain = tap && orthogonalGainOf(spectra.eigenvalues(tap.values, [tap.rows, tap.columns]), epsilon)
    if (tapGain !== undefined) return { class_name: 'ConvolutionDeltaOrthogonal', config: { gain: tapGain } }
    // Before the flattened kernel, which is orthogonal too where there are as many inputs as outputs.
    const [window, inputs] = layout === 'torch' ? [shape.slice(2), 1] : [shape.slice(0, -2), dimensions]
    const gain = sizeOf(window) > 1 && orthogonalGainOf(spectra.eigenvaluesBy(whole, shape, inputs), epsilon)
    if (typeof gain === 'number')
      return { class_name: `ConvolutionOrthogonal${String(dimensions)}D`, config: { gain } }
  }
  const gain = orthogonalGainOf(eigenvalues, epsilon)
  return gain === undefined ? undefined : { class_name: 'Orthogonal', config: { gain } }
}

function constantOf(value: number): Initializer {
  if (value === 0) return { class_name: 'Zeros', config: {} }
  return value === 1 ? { class_name: 'Ones', config: {} } : { class_name: 'Constant', config: { value } }
}

/** The fan_in of the kernel beside a bias: torch draws biases by it. */
function biasFan(
  { tensors }: SafetensorsFile,
  name: string,
  shape: readonly number[],
  layout: Layout,
): number | undefined {
  // Equinox's have the axes of the images beside.
  if (shape.filter((length) => length > 1).length > 1 || !name.endsWith('bias')) return undefined
  const stem = name.slice(0, -'bias'.length)
  const kernel = tensors.get(`${stem}weight`) ?? tensors.get(`${stem}kernel`)
  if (kernel === undefined || kernel.shape.length < 2) return undefined
  return fansOf(kerasShape(kernel.shape, layout)).fanIn
}
