import type { Batcher } from '../../serving/prediction/batcher.ts'
import type { JobResult, PredictionJob } from '../../serving/prediction/job.ts'
import type { Usage } from '../../serving/prediction/usage.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import type { Tracing } from '../../telemetry/tracing.ts'
import type { Images } from './encoded-images.ts'

type Job = Omit<PredictionJob, 'values' | 'count'>

/** The result of a prediction request. */
export interface Prediction {
  readonly result: JobResult
  /** In ms. Decoding counts from the start of the request. */
  readonly costs: { readonly decode: number; readonly queue: number; readonly compute: number }
  /** Records the request in metrics and usage once the response is written, and returns its total in ms. */
  readonly recordAnswer: () => number
}

/** Computes decoded images. `started` is the start of the request. */
export type Predict = (images: Images, job: Job, started: number) => Promise<Prediction>

interface Context {
  readonly batcher: Batcher
  readonly metrics: Metrics
  readonly usage: Usage
  readonly tracing: Tracing
}

/** The part of a prediction that all protocols share: compute, trace and record. */
export function createPredictor({ batcher, metrics, usage, tracing }: Context): Predict {
  return async (images, job, started) => {
    const read = performance.now()
    const count = images.about.length
    const about = { 'resinit.model': job.model, 'resinit.images': count }
    tracing.past('decode', started, read, about)
    const result = await compute(batcher, images, job)
    const computed = performance.now()
    tracing.past('queue', read, read + result.queueMs, about)
    tracing.past('compute', computed - result.decodeMs - result.computeMs, computed, {
      ...about,
      'resinit.batch_size': result.batchSize,
    })
    const costs = {
      decode: read - started + result.decodeMs,
      queue: result.queueMs,
      compute: result.computeMs,
    }
    const recordAnswer = (): number => {
      const now = performance.now()
      const totalMs = now - started
      const record = {
        images: count,
        decodeMs: costs.decode,
        queueMs: costs.queue,
        computeMs: costs.compute,
        encodeMs: now - computed,
        totalMs,
      }
      metrics.prediction(record)
      metrics.models.images(job.model, count)
      usage.answered(job.model, record)
      return totalMs
    }
    return { result, costs, recordAnswer }
  }
}

/** Computes JPEGs that the engine cannot decode once more, from the pixels of the image decoder. */
async function compute(batcher: Batcher, { values, about, decode }: Images, job: Job): Promise<JobResult> {
  const count = about.length
  const { model, k, vectors, alone, permit } = job
  const result = await batcher.submit({ model, k, vectors, alone, permit, count, values })
  if (result.undecoded.length === 0 || decode === undefined) return result
  permit.markStarted(-count)
  const images = await decode()
  return batcher.submit({ ...job, count, values: images.values })
}
