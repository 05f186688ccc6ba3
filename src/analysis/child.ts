import { createHash } from 'node:crypto'
import { constants, setPriority } from 'node:os'
import { openBackend } from '../engine/tensorflow/binding.ts'
import { ServiceError } from '../errors.ts'
import { lawOf } from '../initializers/catalogue.ts'
import { ownSeed } from '../initializers/initializer.ts'
import { sizeOf } from '../initializers/fans.ts'
import { Turns } from '../turns.ts'
import { answerCalls, type Handlers } from '../workers/child.ts'
import type { AnalysisMethods, TensorDraw } from './analysis.ts'
import { fitWeights } from './fits.ts'
import { unitVariance } from './lsuv.ts'
import { assertAffordable, recordOf } from './record.ts'
import { Sampler } from './sampler.ts'
import { Spectra } from './spectra.ts'
import { measureWeights } from './statistics.ts'
import { withWeights } from './weights.ts'

// Whoever predicts goes first.
setPriority(constants.priority.PRIORITY_LOW)
const backend = await openBackend()
const sampler = await Sampler.open(backend)
const spectra = await Spectra.open(backend)

/** Memory stays that of one tensor. */
const turns = new Turns()
const inTurn =
  <A extends unknown[], R>(job: (...args: A) => Promise<R>) =>
  (...args: A): Promise<R> =>
    turns.run(() => job(...args))

const handlers: Handlers<AnalysisMethods> = {
  digest: inTurn((weights, { buffers }) =>
    withWeights(sampler, weights, async (tensors) => {
      const hash = createHash('sha256')
      for (const tensor of tensors) {
        if (!tensor.trainable && !buffers) continue
        for await (const values of tensor.slices()) hash.update(values)
      }
      return hash.digest('hex')
    }),
  ),
  statistics: inTurn((weights, { relativeTo, ...options }) =>
    withWeights(sampler, weights, (tensors) =>
      relativeTo === undefined
        ? measureWeights(tensors, options, spectra)
        : withWeights(sampler, relativeTo, (others) => measureWeights(tensors, options, spectra, others)),
    ),
  ),
  fit: inTurn((path, { layout }) => fitWeights(path, spectra, layout)),
  read: inTurn((weights, name, offset, count) =>
    withWeights(sampler, weights, (tensors) => {
      const tensor = tensors.find((candidate) => candidate.name === name)
      if (tensor === undefined) throw new ServiceError('INTERNAL', `no tensor ${name}`)
      return tensor.read(offset, count)
    }),
  ),
  unitVariance: inTurn((specification, pixels) => unitVariance(backend, specification, pixels)),
  tensorStatistics: inTurn(async (draw, options) => {
    const { shape, initializer } = draw
    const { law, seed } = resolved(draw)
    const source = { shape, law, slices: () => sampler.slices(law, shape, seed) }
    const config = 'seed' in initializer.config ? { ...initializer.config, seed } : initializer.config
    assertAffordable([source], options)
    return { initializer: { ...initializer, config }, ...(await recordOf(source, options, spectra)) }
  }),
  sample: inTurn(async (draw) => {
    const { law, seed } = resolved(draw)
    return sampler.read(law, draw.shape, seed, 0, sizeOf(draw.shape))
  }),
}

function resolved({ initializer, shape, seed }: TensorDraw) {
  return { law: lawOf(initializer, shape, '#/shape'), seed: ownSeed(initializer) ?? seed }
}

answerCalls<AnalysisMethods>(handlers, null)
