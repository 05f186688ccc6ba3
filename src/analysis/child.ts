import { createHash } from 'node:crypto'
import { constants, setPriority } from 'node:os'
import { betweenSteps, inSteps, type Job } from '../control.ts'
import { openBackend } from '../engine/tensorflow/binding.ts'
import { ServiceError } from '../errors.ts'
import { lawOf } from '../initializers/catalogue.ts'
import { ownSeed } from '../initializers/initializer.ts'
import { sizeOf } from '../initializers/fans.ts'
import { measure } from '../statistics/record.ts'
import { Turns } from '../turns.ts'
import { answerCalls } from '../workers/child.ts'
import type { Handlers } from '../workers/messages.ts'
import type { AnalysisMethods, TensorDraw } from './analysis.ts'
import { measureSignals } from './measure-signals.ts'
import { Sampler } from './sampler.ts'
import type { NetworkSignals } from './signals.ts'
import { measureWeights } from './statistics.ts'
import { withWeights } from './weights.ts'

// Whoever predicts goes first.
setPriority(constants.priority.PRIORITY_LOW)
const backend = await openBackend()
const sampler = await Sampler.open(backend)

const handlers: Handlers<AnalysisMethods> = {
  digest: (weights, { buffers }, job) =>
    withWeights(sampler, weights, job, async (tensors) => {
      const hash = createHash('sha256')
      for (const tensor of tensors) {
        if (!tensor.trainable && !buffers) continue
        for await (const values of tensor.slices()) hash.update(values)
      }
      return hash.digest('hex')
    }),
  statistics: (weights, options, job) =>
    withWeights(sampler, weights, job, (tensors) => measureWeights(tensors, options)),
  read: (weights, name, offset, count, job) =>
    withWeights(sampler, weights, job, (tensors) => {
      const tensor = tensors.find((candidate) => candidate.name === name)
      if (tensor === undefined) throw new ServiceError('INTERNAL', `no tensor ${name}`)
      return tensor.read(offset, count)
    }),
  tensorStatistics: async (draw, options, job) => {
    const { shape, initializer } = draw
    const { law, seed } = resolved(draw)
    const source = { shape, law, slices: () => inSteps(sampler.slices(law, shape, seed), job) }
    const config = 'seed' in initializer.config ? { ...initializer.config, seed } : initializer.config
    return { initializer: { ...initializer, config }, ...(await measure(source, options)) }
  },
  sample: async (draw) => {
    const { law, seed } = resolved(draw)
    return sampler.read(law, draw.shape, seed, 0, sizeOf(draw.shape))
  },
  signals: async (networks, request, job) => {
    const total = networks.length * request.repeats
    let done = 0
    const tell = (): void => {
      job.progress({ done: done++, total })
    }
    tell()
    const results: NetworkSignals[] = []
    for (const source of networks)
      results.push(await measureSignals(backend.tf, sampler, source, request, job, tell))
    return results
  },
}

/**
 * Memory stays that of one job. The parent sends one at a time, but takes a cancelled one for done at once: the next
 * waits here until it has stopped.
 */
function oneAtATime(given: typeof handlers): typeof handlers {
  const turns = new Turns()
  const inTurn =
    (handler: (...args: never[]) => unknown) =>
    (...args: readonly unknown[]) =>
      turns.run(async () => {
        await betweenSteps(args.at(-1) as Job)
        return Reflect.apply(handler, undefined, args) as unknown
      })
  const entries = Object.entries(given).map(([name, handler]) => [name, inTurn(handler)])
  return Object.fromEntries(entries) as typeof handlers
}

function resolved({ initializer, shape, seed }: TensorDraw) {
  return { law: lawOf(initializer, shape, '#/shape'), seed: ownSeed(initializer) ?? seed }
}

answerCalls<AnalysisMethods>(oneAtATime(handlers), null)
