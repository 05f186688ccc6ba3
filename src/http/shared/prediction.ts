import type { Batcher } from '../../serving/prediction/batcher.ts'
import type { JobResult, PredictionJob } from '../../serving/prediction/job.ts'
import type { Images } from './encoded-images.ts'
import type { Services } from './services.ts'

type Job = Omit<PredictionJob, 'values' | 'count'>

/** A request's images, computed. */
export interface Prediction {
  readonly result: JobResult
  /** In ms; decoding counts from the request's start. */
  readonly costs: { readonly decode: number; readonly queue: number; readonly compute: number }
  /** To be called once, when the answer is written: counts the request, and gives the ms it took in all. */
  readonly answered: () => number
}

/** What every protocol's predictions have in common, from decoded images to what is counted of them. */
export function predictor({
  batcher,
  metrics,
  usage,
  tracing,
}: Pick<Services, 'batcher' | 'metrics' | 'usage' | 'tracing'>) {
  return async (images: Images, job: Job, started: number): Promise<Prediction> => {
    const read = performance.now()
    const about = { 'resinit.model': job.model, 'resinit.images': images.about.length }
    tracing.past('decode', started, read, about)
    const result = await compute(batcher, images, job)
    const computed = performance.now()
    tracing.past('queue', read, read + result.queueMs, about)
    tracing.past('compute', computed - result.decodeMs - result.computeMs, computed, {
      'resinit.model': job.model,
      'resinit.images': images.about.length,
      'resinit.batch_size': result.batchSize,
    })
    const costs = {
      decode: read - started + result.decodeMs,
      queue: result.queueMs,
      compute: result.computeMs,
    }
    const answered = (): number => {
      const now = performance.now()
      const totalMs = now - started
      const counted = {
        images: images.about.length,
        decodeMs: costs.decode,
        queueMs: costs.queue,
        computeMs: costs.compute,
        encodeMs: now - computed,
        totalMs,
      }
      metrics.prediction(counted)
      usage.answered(job.model, counted)
      return totalMs
    }
    return { result, costs, answered }
  }
}

/** What the engine cannot decode is computed once more from pixels: a decoder with other opinions decides. */
async function compute(batcher: Batcher, { values, about, decoded }: Images, job: Job): Promise<JobResult> {
  const count = about.length
  const { model, k, vectors, alone, permit } = job
  const result = await batcher.submit({ model, k, vectors, alone, permit, count, values })
  if (result.undecoded.length === 0 || decoded === undefined) return result
  permit.markStarted(-count)
  const images = await decoded()
  return batcher.submit({ ...job, count, values: images.values })
}
