import { checkpoint, type JobContext } from '../../common/cancellation.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { planSpecification, type Plan } from '../../network/plan.ts'
import { preprocess } from '../../network/preprocessing.ts'
import { channelMoments } from '../../statistics/channels.ts'
import { estimate } from '../../statistics/interval.ts'
import { judge } from '../../statistics/verdict.ts'
import type { SignalsRequest } from '../contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { runTrial, type BlockActivation } from './eager/trial.ts'
import { predictField } from './mean-field.ts'
import { signalMemory } from '../memory-estimate.ts'
import type { Sampler } from '../../tensorflow/sampler.ts'
import type { NetworkSignals } from '../signals-contract.ts'
import { withWeights, type WeightTensor } from '../../tensorflow/weight-sources.ts'

type TensorFlow = Backend['tf']
type Tensor = ReturnType<TensorFlow['tensor']>

/** Weights use the draws 0, 1, ... of their seed; input and labels start at a number that no weight reaches. */
const FIRST_DRAW = 2 ** 30
const UNIT_NORMAL = { kind: 'normal', mean: 0, std: 1 } as const
const UNIT_UNIFORM = { kind: 'uniform', low: 0, high: 1 } as const

/** Sums over one parameter's values. */
interface Sums {
  readonly square: number
  readonly zeros: number
}

/** A network's weights during its measurement. */
interface Loaded {
  readonly plan: Plan
  readonly values: ReadonlyMap<string, Tensor>
  readonly sums: ReadonlyMap<string, Sums>
}

/**
 * Measures signals through one network, forward and backward. Repeat r draws input and labels from [seed, 2^30 +
 * 2r] and [seed, 2^30 + 2r + 1], the same for every network. `stepped` is called after every repeat.
 */
export async function measureSignals(
  tf: TensorFlow,
  sampler: Sampler,
  source: WeightsSource,
  request: SignalsRequest,
  job: JobContext,
  stepped: () => void,
): Promise<NetworkSignals> {
  const loaded = await withWeights(sampler, source, job, (tensors) => load(tf, source, tensors))
  try {
    const repeats: Repeat[] = []
    for (let repeat = 0; repeat < request.repeats; repeat++) {
      await checkpoint(job)
      repeats.push(await measureOnce(tf, sampler, loaded, request, repeat, job.alive))
      stepped()
    }
    return summary(loaded.plan, source, request, repeats)
  } finally {
    for (const tensor of loaded.values.values()) tensor.dispose()
  }
}

async function load(
  tf: TensorFlow,
  { specification, factors = {} }: WeightsSource,
  tensors: readonly WeightTensor[],
): Promise<Loaded> {
  const values = new Map<string, Tensor>()
  const sums = new Map<string, Sums>()
  try {
    for (const tensor of tensors) {
      const { name, shape } = tensor
      const whole = new Float32Array(sizeOf(shape))
      let offset = 0
      for await (const slice of tensor.slices()) {
        whole.set(slice, offset)
        offset += slice.length
      }
      sums.set(name, accumulateSums(whole))
      values.set(name, tf.tensor(whole, [...shape]))
    }
  } catch (error) {
    for (const tensor of values.values()) tensor.dispose()
    throw error
  }
  return { plan: planSpecification(specification, { factors }), values, sums }
}

interface Repeat {
  readonly blocks: readonly {
    readonly name: string
    readonly activation: ReturnType<typeof measureActivation>
    readonly gradient: ReturnType<typeof measureGradient>
  }[]
  readonly gradient: { readonly l2_norm: number; readonly zero_fraction: number }
  readonly network: {
    readonly loss: number
    readonly output_entropy: number
    readonly gradient_ratio: number
    readonly input_variance: number
    readonly variance_ratio: number
  }
}

async function measureOnce(
  tf: TensorFlow,
  sampler: Sampler,
  { plan, values, sums }: Loaded,
  { pixels, seed, batch_size, mode }: SignalsRequest,
  repeat: number,
  alive: () => void,
): Promise<Repeat> {
  const { architecture, preprocessing, classes } = plan.specification
  const draw = FIRST_DRAW + 2 * repeat
  const size = batch_size * sizeOf(architecture.input_shape)
  const images = pixels
    ? preprocess(pixels, preprocessing)
    : await sampler.read(UNIT_NORMAL, [size], [seed, draw], 0, size)
  const chances = await sampler.read(UNIT_UNIFORM, [batch_size], [seed, draw + 1], 0, batch_size)
  const labels = Int32Array.from(chances, (chance) => Math.floor(chance * classes))

  const derivatives = new Map<string, Sums>()
  const trial = runTrial(
    tf,
    values,
    plan.initialized.flatMap(({ name }) => values.get(name) ?? []),
    { specification: plan.specification, images, labels, batchStatistics: mode === 'training' },
    (index, derivative) => {
      const parameter = plan.initialized[index]
      if (parameter) derivatives.set(parameter.name, accumulateSums(derivative))
    },
    alive,
  )
  const blocks = trial.blocks.map((block) => ({
    name: block.name,
    activation: measureActivation(block),
    gradient: measureGradient(plan, `${block.name}/`, derivatives, sums),
  }))
  const { l2_norm, zero_fraction } = measureGradient(plan, '', derivatives, sums)
  const input_variance = channelMoments(images, 1).variance
  const [first, last] = [blocks[0], blocks.at(-1)]
  return {
    blocks,
    gradient: { l2_norm, zero_fraction },
    network: {
      loss: trial.loss,
      output_entropy: trial.outputEntropy,
      gradient_ratio: (first?.gradient.l2_norm ?? NaN) / (last?.gradient.l2_norm ?? NaN),
      input_variance,
      variance_ratio: (last?.activation.variance ?? NaN) / input_variance,
    },
  }
}

function measureActivation(block: BlockActivation) {
  return {
    mean: block.mean,
    variance: block.variance,
    average_squared_channel_mean: block.averageSquaredMean,
    average_channel_variance: block.averageVariance,
    residual_variance: block.residualVariance,
    dead_fraction: block.deadFraction,
  }
}

/** The gradient of all parameters under a scope. Zeros are counted in kernels only. */
function measureGradient(
  { initialized }: Plan,
  scope: string,
  derivatives: ReadonlyMap<string, Sums>,
  weights: ReadonlyMap<string, Sums>,
) {
  const own = initialized.filter(({ name }) => name.startsWith(scope))
  const kernels = own.filter(({ role }) => role === 'kernel')
  const sum = (of: typeof own, sums: typeof weights, field: keyof Sums): number =>
    of.reduce((total, { name }) => total + (sums.get(name)?.[field] ?? NaN), 0)
  const l2_norm = Math.sqrt(sum(own, derivatives, 'square'))
  return {
    l2_norm,
    relative_to_weight: l2_norm / Math.sqrt(sum(own, weights, 'square')),
    zero_fraction:
      sum(kernels, derivatives, 'zeros') / kernels.reduce((total, { shape }) => total + sizeOf(shape), 0),
  }
}

function accumulateSums(values: Float32Array): Sums {
  let square = 0
  let zeros = 0
  for (const value of values) {
    square += value * value
    if (value === 0) zeros += 1
  }
  return { square, zeros }
}

function summary(
  plan: Plan,
  { weightsFile }: WeightsSource,
  { pixels, ...options }: SignalsRequest,
  repeats: readonly Repeat[],
): NetworkSignals {
  const { blocks = [] } = repeats[0] ?? {}
  const ratio = estimate(repeats.map(({ network }) => network.variance_ratio))
  const drawn = weightsFile === undefined && pixels === undefined
  return {
    ...options,
    input: pixels ? 'images' : 'gaussian',
    blocks: blocks.map(({ name }, index) => ({
      name,
      activation: estimates(repeats.flatMap((repeat) => repeat.blocks[index]?.activation ?? [])),
      gradient: estimates(repeats.flatMap((repeat) => repeat.blocks[index]?.gradient ?? [])),
    })),
    gradient: estimates(repeats.map(({ gradient }) => gradient)),
    ...estimates(repeats.map(({ network }) => network)),
    ...judge(ratio, `the sum of ${blocks.at(-1)?.name ?? 'the last block'}`),
    mean_field: drawn ? predictField(plan) : null,
    memory_bytes: signalMemory(plan, options.batch_size),
    notes: [
      ...(pixels
        ? [
            'The images are the same in every repeat: intervals of quantities that do not depend on labels have no width, and do not extend to other images.',
          ]
        : []),
      ...(options.repeats === 1 ? ['One repeat gives no intervals; use more.'] : []),
    ],
  }
}

type Estimates<N extends string> = Record<N, number> & Record<`${N}_interval`, [number, number] | null>

function estimates<N extends string>(repeats: readonly Readonly<Record<N, number>>[]): Estimates<N> {
  const names = Object.keys(repeats[0] ?? {}) as N[]
  return Object.fromEntries(
    names.flatMap((name) => {
      const { mean, interval } = estimate(repeats.map((repeat) => repeat[name]))
      return [
        [name, mean],
        [`${name}_interval`, interval],
      ]
    }),
  ) as Estimates<N>
}
