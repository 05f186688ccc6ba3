import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { checkpoint, withCheckpoints, type JobContext } from '../../common/cancellation.ts'
import { openBackend } from '../../tensorflow/binding.ts'
import { ServiceError } from '../../common/errors.ts'
import { readDigits } from '../../experiments/digits.ts'
import { resolveLaw } from '../../initializers/catalogue.ts'
import { ownSeed } from '../../initializers/initializer.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { isMeasured } from '../../network/schemes.ts'
import { Mutex } from '../../common/mutex.ts'
import { answerCalls, startOrExit } from '../../ipc/child.ts'
import type { Handlers } from '../../ipc/messages.ts'
import { readFactors, type AnalysisMethods, type TensorDraw } from '../contract.ts'
import type { WeightsSource } from '../../network/weights-source.ts'
import { fillWeights } from './fill-weights.ts'
import { fitWeights } from './identify-initializers.ts'
import { unitVariance } from './lsuv.ts'
import { measureSignals } from './measure-signals.ts'
import { StatisticsThread } from './statistics-thread-client.ts'
import { assertAffordable, computeRecord } from './parameter-record.ts'
import { Sampler } from '../../tensorflow/sampler.ts'
import { exportSavedModel } from './export-saved-model.ts'
import type { NetworkSignals } from '../signals-contract.ts'
import { Spectra } from './spectra.ts'
import { measureWeights } from './model-statistics.ts'
import { drawState, train } from './train.ts'
import { withWeights } from '../../tensorflow/weight-sources.ts'

// Lower the priority below the engine's. Linux has a priority per thread: V8's threads exist already, TensorFlow's
// will inherit it.
for (const thread of readdirSync('/proc/self/task'))
  setPriority(Number(thread), constants.priority.PRIORITY_LOW)
const { backend, sampler, spectra } = await startOrExit(async () => {
  const opened = await openBackend()
  return { backend: opened, sampler: await Sampler.open(opened), spectra: await Spectra.open(opened) }
})
const statisticsThread = new StatisticsThread()

const handlers: Handlers<AnalysisMethods> = {
  fillWeights: async (source, names, path, job) =>
    fillWeights(sampler, await completeFactors(source), names, path, job),
  digest: (weights, { buffers }, job) =>
    withWeights(sampler, weights, job, async (tensors) => {
      const hash = createHash('sha256')
      for (const tensor of tensors) {
        if (!tensor.trainable && !buffers) continue
        for await (const values of tensor.slices()) hash.update(values)
      }
      return hash.digest('hex')
    }),
  statistics: (weights, { relativeTo, ...options }, job) =>
    withWeights(sampler, weights, job, (tensors) =>
      relativeTo === undefined
        ? measureWeights(tensors, options, { statisticsThread, spectra })
        : withWeights(sampler, relativeTo, job, (others) =>
            measureWeights(tensors, options, { statisticsThread, spectra }, others),
          ),
    ),
  fit: (path, { layout }, job) => fitWeights(path, spectra, layout, job),
  read: (weights, name, offset, count, job) =>
    withWeights(sampler, weights, job, (tensors) => {
      const tensor = tensors.find((candidate) => candidate.name === name)
      if (tensor === undefined) throw new ServiceError('INTERNAL', `no tensor ${name}`)
      return tensor.read(offset, count)
    }),
  savedModel: (weights, folder, job) => exportSavedModel(backend, sampler, weights, folder, job),
  unitVariance: (specification, pixels) => unitVariance(backend, specification, pixels),
  tensorStatistics: async (draw, options, job) => {
    const { shape, initializer } = draw
    const { law, seed } = resolveDraw(draw)
    const source = { shape, law, slices: () => withCheckpoints(sampler.slices(law, shape, seed), job) }
    const config = 'seed' in initializer.config ? { ...initializer.config, seed } : initializer.config
    assertAffordable([source], options)
    const statisticsJob = statisticsThread.begin({ digest: false })
    const { record } = await computeRecord(source, options, { job: statisticsJob, spectra })
    return { initializer: { ...initializer, config }, ...(await record) }
  },
  sample: async (draw) => {
    const { law, seed } = resolveDraw(draw)
    return sampler.read(law, draw.shape, seed, 0, sizeOf(draw.shape))
  },
  signals: async (networks, request, job) => {
    const total = networks.length * request.repeats
    let done = 0
    const report = (): void => {
      job.progress({ done: done++, total })
    }
    report()
    const results: NetworkSignals[] = []
    for (const source of networks)
      results.push(
        await measureSignals(backend.tf, sampler, await completeFactors(source), request, job, report),
      )
    return results
  },
  train: async (training, from, maxMs, job) =>
    train(
      backend.tf,
      readDigits(),
      training,
      from ??
        (await drawState(sampler, await completeFactors({ specification: training.specification }), job)),
      maxMs,
      job,
    ),
}

/**
 * Runs one job at a time, to bound memory. The parent also sends one at a time, but considers a cancelled job
 * finished at once; here the next job waits until the cancelled one has stopped.
 */
function serialize(given: typeof handlers): typeof handlers {
  const mutex = new Mutex()
  const exclusive =
    (handler: (...args: never[]) => unknown) =>
    (...args: readonly unknown[]) =>
      mutex.runExclusive(async () => {
        await checkpoint(args.at(-1) as JobContext)
        return Reflect.apply(handler, undefined, args) as unknown
      })
  const entries = Object.entries(given).map(([name, handler]) => [name, exclusive(handler)])
  return Object.fromEntries(entries) as typeof handlers
}

/** Measures the factors that the network's scheme needs, if the source has none. */
async function completeFactors(source: WeightsSource): Promise<WeightsSource> {
  const { specification, weightsFile, factors } = source
  if (weightsFile !== undefined || factors !== undefined || !isMeasured(specification)) return source
  return { specification, factors: readFactors(await unitVariance(backend, specification)) }
}

function resolveDraw({ initializer, shape, seed }: TensorDraw) {
  return { law: resolveLaw(initializer, shape, '#/shape'), seed: ownSeed(initializer) ?? seed }
}

answerCalls<AnalysisMethods>(serialize(handlers), null)
