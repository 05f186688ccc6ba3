import {
  OPTIONAL_OUTPUTS,
  outputOf,
  type Batch,
  type BatchResult,
  type ImageValues,
  type OptionalOutput,
} from '../../engine/contract.ts'
import type { JobResult, PredictionJob } from './job.ts'

type Rows = Float32Array | Int32Array

/** Joins jobs of one model and kind into one batch: their images one after another. */
export function joinJobs(jobs: readonly PredictionJob[]): Omit<Batch, 'id'> {
  return {
    count: jobs.reduce((sum, { count }) => sum + count, 0),
    values: joinValues(jobs.map(({ values }) => values)),
    k: Math.max(...jobs.map(({ k }) => k)),
    vectors: OPTIONAL_OUTPUTS.filter((vector) => jobs.some(({ vectors }) => vectors.includes(vector))),
  }
}

/** Splits a job into parts that fit a batch, in order. */
export function splitJob(job: PredictionJob, maxBatchSize: number): PredictionJob[] {
  if (job.count <= maxBatchSize) return [job]
  const size = job.values.length / job.count
  const parts: PredictionJob[] = []
  for (let start = 0; start < job.count; start += maxBatchSize) {
    const count = Math.min(maxBatchSize, job.count - start)
    const [from, to] = [start * size, (start + count) * size]
    const values = isEncoded(job.values) ? job.values.slice(from, to) : job.values.subarray(from, to)
    parts.push({ ...job, count, values })
  }
  return parts
}

/** Splits a batch's result into the rows of each job, in the order in which the jobs were joined. */
export function splitRows(result: BatchResult, jobs: readonly PredictionJob[]): BatchResult[] {
  const images = jobs.reduce((sum, { count }) => sum + count, 0)
  let row = 0
  return jobs.map((job) => {
    const start = row
    const rows = <A extends Rows>(all: A): A => {
      const width = all.length / images
      return all.subarray(row * width, (row + job.count) * width) as A
    }
    const own = {
      topClasses: takeLeading(rows(result.topClasses), job),
      topLogits: takeLeading(rows(result.topLogits), job),
      topProbabilities: takeLeading(rows(result.topProbabilities), job),
      entropy: rows(result.entropy),
      finite: rows(result.finite),
      vectors: selectOutputs(job, (vector) => rows(outputOf(result, vector))),
      undecoded: result.undecoded
        .map((index) => index - start)
        .filter((index) => index >= 0 && index < job.count),
      decodeMs: result.decodeMs,
      computeMs: result.computeMs,
    }
    row += job.count
    return own
  })
}

/** Joins the results of a job's parts. */
export function joinResults(results: readonly [JobResult, ...JobResult[]]): JobResult {
  const [first] = results
  if (results.length === 1) return first
  const join = <A extends Rows>(read: (result: JobResult) => A): A => concatenate(results.map(read))
  const vectors = Object.keys(first.vectors) as OptionalOutput[]
  return {
    topClasses: join(({ topClasses }) => topClasses),
    topLogits: join(({ topLogits }) => topLogits),
    topProbabilities: join(({ topProbabilities }) => topProbabilities),
    entropy: join(({ entropy }) => entropy),
    finite: join(({ finite }) => finite),
    vectors: selectOutputs({ vectors }, (vector) => join((result) => outputOf(result, vector))),
    undecoded: results.flatMap((result, part) => {
      const before = results.slice(0, part).reduce((sum, { entropy }) => sum + entropy.length, 0)
      return result.undecoded.map((index) => before + index)
    }),
    decodeMs: results.reduce((sum, { decodeMs }) => sum + decodeMs, 0),
    queueMs: Math.max(...results.map(({ queueMs }) => queueMs)),
    computeMs: results.reduce((sum, { computeMs }) => sum + computeMs, 0),
    batchSize: Math.max(...results.map(({ batchSize }) => batchSize)),
  }
}

function selectOutputs(
  { vectors }: Pick<Batch, 'vectors'>,
  read: (vector: OptionalOutput) => Float32Array,
): BatchResult['vectors'] {
  return Object.fromEntries(vectors.map((vector) => [vector, read(vector)]))
}

/** The first k values of every row. The batch has more if another job requested more. */
function takeLeading<A extends Rows>(rows: A, { count, k }: PredictionJob): A {
  const width = rows.length / count
  return width <= k ? rows : (rows.filter((_, index) => index % width < k) as A)
}

function isEncoded(values: ImageValues): values is readonly Uint8Array[] {
  return Array.isArray(values)
}

/** Joins values of one kind. */
function joinValues(parts: readonly ImageValues[]): ImageValues {
  return parts.every(isEncoded) ? parts.flat() : concatenate(parts as (Uint8Array | Float32Array)[])
}

/** Concatenates arrays. A single array is returned without a copy. */
function concatenate<A extends Rows | Uint8Array>(parts: readonly A[]): A {
  const [first, ...others] = parts
  if (first === undefined) throw new TypeError('there is nothing to join')
  if (others.length === 0) return first
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const joined =
    first instanceof Uint8Array
      ? new Uint8Array(length)
      : first instanceof Int32Array
        ? new Int32Array(length)
        : new Float32Array(length)
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined as A
}
