import { checkpoint, type JobContext } from '../../common/cancellation.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import { drawBatches } from '../../experiments/batches.ts'
import { DIVERGED } from '../../experiments/data.ts'
import type { Digits, Pictures } from '../../experiments/digits.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { planSpecification, type Plan } from '../../network/plan.ts'
import type { Training, TrainingPart, TrainingState } from '../contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { computeAccuracy, computeGradients } from './eager/training-step.ts'
import type { Sampler } from '../../tensorflow/sampler.ts'
import { withWeights } from '../../tensorflow/weight-sources.ts'

type TensorFlow = Backend['tf']
type Tensor = ReturnType<TensorFlow['tensor']>

/** The state before the first step: drawn weights and zero velocity. */
export function drawState(sampler: Sampler, source: WeightsSource, job: JobContext): Promise<TrainingState> {
  return withWeights(sampler, source, job, async (tensors) => {
    const total = (some: typeof tensors): number => some.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
    const values = new Float32Array(total(tensors))
    let offset = 0
    for (const tensor of tensors) {
      for await (const slice of tensor.slices()) {
        values.set(slice, offset)
        offset += slice.length
      }
    }
    return {
      step: 0,
      values,
      velocity: new Float32Array(total(tensors.filter(({ trainable }) => trainable))),
    }
  })
}

/**
 * Runs further steps of a training (`AnalysisMethods.train`). The state is changed in place, because it came in a
 * message of its own. Updates are computed in float64 and rounded once.
 */
export async function train(
  tf: TensorFlow,
  digits: Digits,
  training: Training,
  { step: first, values, velocity }: TrainingState,
  maxMs: number,
  job: JobContext,
): Promise<TrainingPart> {
  const { specification, seed, learningRate, momentum, batchSize, steps } = training
  const plan = planSpecification(specification)
  const parts = splitState(plan, values)
  const batchAt = drawBatches(seed, batchSize)
  const limit = DIVERGED * Math.log(specification.classes)
  const losses: number[] = []
  const until = performance.now() + maxMs
  let step = first
  let diverged: boolean
  do {
    await checkpoint(job)
    const loss = update(batchAt(step))
    losses.push(loss)
    step += 1
    diverged = !(loss <= limit)
  } while (step < steps && !diverged && performance.now() < until)
  const accuracy =
    step === steps && !diverged
      ? withTensors(tf, plan, parts, (tensors) => computeAccuracy(tf, specification, tensors, digits.test))
      : null
  return { state: { step, values, velocity }, losses, diverged, accuracy }

  /** One step. Returns the loss before the update. */
  function update(batch: readonly number[]): number {
    const kept = specification.architecture.norm.momentum
    const { loss, gradients } = withTensors(tf, plan, parts, (tensors) =>
      computeGradients(
        tf,
        specification,
        tensors,
        plan.initialized.flatMap(({ name }) => tensors.get(name) ?? []),
        selectPictures(digits.training, batch),
        (norm, mean, variance) => {
          updateMoving(parts.get(`${norm}/moving_mean`), mean, kept)
          updateMoving(parts.get(`${norm}/moving_variance`), variance, kept)
        },
      ),
    )
    let offset = 0
    plan.initialized.forEach(({ name }, index) => {
      const weights = parts.get(name)
      const gradient = gradients[index]
      if (weights === undefined || gradient === undefined) throw new TypeError(`${name} has no gradient`)
      for (let at = 0; at < weights.length; at++, offset++) {
        const speed = momentum * (velocity[offset] ?? 0) + (gradient[at] ?? 0)
        velocity[offset] = speed
        weights[at] = (weights[at] ?? 0) - learningRate * speed
      }
    })
    return loss
  }
}

/** Views of a state's values, by name. */
function splitState({ parameters }: Plan, values: Float32Array): ReadonlyMap<string, Float32Array> {
  let offset = 0
  return new Map(
    parameters.map(({ name, shape }) => {
      const size = sizeOf(shape)
      offset += size
      return [name, values.subarray(offset - size, offset)]
    }),
  )
}

/** Tensors of the current values, freed when `use` returns. */
function withTensors<R>(
  tf: TensorFlow,
  { parameters }: Plan,
  parts: ReadonlyMap<string, Float32Array>,
  use: (tensors: ReadonlyMap<string, Tensor>) => R,
): R {
  const tensors = new Map(
    parameters.map(({ name, shape }) => [name, tf.tensor(parts.get(name) ?? [], [...shape])]),
  )
  try {
    return use(tensors)
  } finally {
    for (const tensor of tensors.values()) tensor.dispose()
  }
}

function selectPictures({ images, labels }: Pictures, batch: readonly number[]): Pictures {
  const size = images.length / labels.length
  const chosen = new Float32Array(batch.length * size)
  batch.forEach((picture, index) => {
    chosen.set(images.subarray(picture * size, (picture + 1) * size), index * size)
  })
  return { images: chosen, labels: Int32Array.from(batch, (picture) => labels[picture] ?? 0) }
}

/** Updates a moving moment as Keras does: momentum times the old value plus (1 - momentum) times the batch's. */
function updateMoving(moving: Float32Array | undefined, moments: Float32Array, momentum: number): void {
  moving?.forEach((value, channel) => {
    moving[channel] = momentum * value + (1 - momentum) * (moments[channel] ?? 0)
  })
}
