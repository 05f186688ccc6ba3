import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Batcher, type JobResult, type PredictionJob } from '../../src/serving/batcher.ts'
import { refusalOf } from './support/errors.ts'
import { answerFor, MemoryEngine, settled } from './support/memory-engine.ts'

const MAX_BATCH = 4
const MAX_QUEUE = 24

function setUp() {
  const engine = new MemoryEngine()
  const ready: string[] = []
  const ensureReady = async (model: string): Promise<void> => {
    ready.push(model)
    await settled()
  }
  const batcher = new Batcher({
    ...{ engine, maxBatchSize: MAX_BATCH, maxQueue: MAX_QUEUE, ensureReady },
    lost: () => undefined,
  })
  return { engine, batcher, ready }
}

function job(
  images: readonly number[],
  fields: Partial<PredictionJob> & { bytes?: boolean } = {},
): PredictionJob {
  const { bytes = false, ...others } = fields
  const values = bytes ? Uint8Array.from(images) : Float32Array.from(images)
  const { signal } = new AbortController()
  return { model: 'm', count: images.length, values, k: 3, features: false, alone: false, signal, ...others }
}

function expectAnswer(result: JobResult, { values, count, k, features }: PredictionJob): void {
  const rows = Array.from(values, answerFor)
  expect([...result.logits]).toEqual(rows.flatMap((row) => row.logits))
  expect([...result.probabilities]).toEqual(rows.flatMap((row) => row.logits.map((logit) => -logit)))
  expect([...result.entropy]).toEqual([...values])
  expect([...result.topClasses]).toEqual(rows.flatMap((row) => row.topClasses.slice(0, k)))
  expect(result.topLogits).toHaveLength(count * Math.min(k, 5))
  expect(result.features && [...result.features]).toEqual(
    features ? rows.flatMap((row) => row.features) : undefined,
  )
}

/** Ends batches, as `outcomes` say and then well, until nothing is left to do. */
async function runDown(engine: MemoryEngine, outcomes: ('answers' | 'crashes')[] = []): Promise<void> {
  for (let idle = 0; idle < 5; idle = engine.busy ? 0 : idle + 1) {
    if (engine.busy) engine.step(outcomes.shift())
    await settled()
  }
}

const requests = fc.record({
  ...{
    model: fc.constantFrom('m', 'n'),
    size: fc.integer({ min: 1, max: 10 }),
    k: fc.integer({ min: 1, max: 6 }),
  },
  ...{ features: fc.boolean(), alone: fc.boolean(), bytes: fc.boolean() },
  /** Batches that end before this request comes; whether its caller leaves, and after how many more. */
  ...{ steps: fc.nat(2), leaves: fc.option(fc.nat(3), { freq: 4 }) },
})
const outcome = fc.oneof(
  { weight: 5, arbitrary: fc.constant('answers' as const) },
  { weight: 1, arbitrary: fc.constant('crashes' as const) },
)

describe('whatever comes, leaves and crashes', () => {
  test('every request has its own answer or its own error, and batches are sound', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(requests, { minLength: 1, maxLength: 12 }),
        fc.array(outcome, { maxLength: 20 }),
        async (list, outcomes) => {
          const { engine, batcher } = setUp()
          let next = 0
          const pending = []
          for (const { steps, leaves, size, ...fields } of list) {
            const controller = new AbortController()
            const images = Array.from({ length: size }, () => next++)
            const one = job(images, { ...fields, signal: controller.signal })
            const fits = batcher.queued + size <= MAX_QUEUE
            const settledJob = batcher.submit(one).then(
              (value) => ({ value }),
              (error: unknown) => ({ error }),
            )
            pending.push({ one, fits, settledJob, leaves })
            if (leaves !== null)
              setImmediate(() => {
                controller.abort(new Error('the caller left'))
              })
            for (let step = 0; step < steps; step++) {
              engine.step(outcomes.shift())
              await settled()
            }
          }
          await runDown(engine, outcomes)
          for (const { one, fits, settledJob, leaves } of pending) {
            const end = await settledJob
            if ('value' in end) {
              seen.add('answered')
              expectAnswer(end.value, one)
              expect(end.value.batchSize).toBeLessThanOrEqual(MAX_BATCH)
              continue
            }
            const { code = 'left', message } = end.error as { code?: string; message: string }
            seen.add(code)
            expect(fits).toBe(code !== 'QUEUE_FULL')
            if (code === 'left') expect([leaves === null, message]).toEqual([false, 'the caller left'])
            else expect(['QUEUE_FULL', 'ENGINE_CRASHED']).toContain(code)
          }
          for (const { id, count, values } of engine.batches) {
            expect(count).toBeLessThanOrEqual(MAX_BATCH)
            expect(values).toHaveLength(count)
            for (const image of values) {
              const owner = pending.find(({ one }) => one.values.includes(image))?.one
              expect([owner?.model, owner?.values.constructor]).toEqual([id, values.constructor])
              if (owner?.alone) for (const other of values) expect(owner.values).toContain(other)
            }
          }
          expect(batcher.queued).toBe(0)
        },
      ),
      { numRuns: 200, seed: 20 },
    )
    expect([...seen].sort()).toEqual(['ENGINE_CRASHED', 'QUEUE_FULL', 'answered', 'left'])
  })
})

describe('batches', () => {
  test('join what waits for one model, the longest waiting first', async () => {
    const { engine, batcher, ready } = setUp()
    const jobs = [job([1]), job([2]), job([3, 4], { model: 'n' }), job([5, 6]), job([7])]
    const results = jobs.map((one) => batcher.submit(one))
    await runDown(engine)
    expect(engine.batches.map(({ values }) => [...values])).toEqual([[1], [2, 5, 6, 7], [3, 4]])
    expect(ready).toEqual(['m', 'm', 'n'])
    expect((await Promise.all(results)).map(({ batchSize }) => batchSize)).toEqual([1, 4, 2, 4, 4])
  })

  test('join uint8 images in whatever view they come: a decoder gives Buffers', async () => {
    const { engine, batcher } = setUp()
    const jobs = [
      job([1]),
      ...[Buffer.of(2), Uint8Array.of(3), Float32Array.of(4)].map((values) => job([0], { values })),
    ]
    const results = jobs.map((one) => batcher.submit(one))
    await runDown(engine)
    expect(engine.batches.map(({ values }) => [...values])).toEqual([[1], [2, 3], [4]])
    expect((await Promise.all(results)).map(({ batchSize }) => batchSize)).toEqual([1, 2, 2, 1])
  })

  test('of a large request are several, its rows in order', async () => {
    const { engine, batcher } = setUp()
    const large = job([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { features: true })
    const result = batcher.submit(large)
    await runDown(engine)
    expect(engine.batches.map(({ count }) => count)).toEqual([4, 4, 2])
    expectAnswer(await result, large)
  })

  test('of jobs whose callers left are not computed', async () => {
    const { engine, batcher } = setUp()
    const controller = new AbortController()
    const first = batcher.submit(job([1]))
    const left = batcher.submit(job([2], { signal: controller.signal }))
    controller.abort(new Error('gone'))
    await Promise.all([expect(left).rejects.toThrow('gone'), first, runDown(engine)])
    expect(engine.batches.map(({ values }) => [...values])).toEqual([[1]])
  })
})

describe('failures', () => {
  test('a crash is asked once more, then answered', async () => {
    const { engine, batcher } = setUp()
    const one = job([1, 2])
    const result = batcher.submit(one)
    await runDown(engine, ['crashes'])
    expectAnswer(await result, one)
    expect(engine.batches).toHaveLength(2)
  })

  test('a second crash over the same images is ENGINE_CRASHED, and the next request is served', async () => {
    const { engine, batcher } = setUp()
    const [error] = await Promise.all([
      refusalOf(batcher.submit(job([1]))),
      runDown(engine, ['crashes', 'crashes']),
    ])
    expect(error.code).toBe('ENGINE_CRASHED')
    expect(engine.batches).toHaveLength(2)
    expect(batcher.queued).toBe(0)
    const next = job([5])
    const [answer] = await Promise.all([batcher.submit(next), runDown(engine)])
    expectAnswer(answer, next)
  })

  test('a request that kills the engine twice fails alone: those it was joined with are answered', async () => {
    const { engine, batcher } = setUp()
    const before = batcher.submit(job([0]))
    const [deadly, ...others] = [job([1]), job([2]), job([3])].map((one) => batcher.submit(one))
    const results = Promise.allSettled([deadly, ...others])
    await Promise.all([before, runDown(engine, ['answers', 'crashes', 'crashes'])])
    expect(engine.batches.map(({ values }) => [...values])).toEqual([[0], [1, 2, 3], [1], [2], [3]])
    expect((await results).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  })

  test('a model that cannot be made ready fails its own requests only', async () => {
    const engine = new MemoryEngine()
    const ensureReady = (model: string) =>
      model === 'bad' ? Promise.reject(new Error('no such weights')) : Promise.resolve()
    const batcher = new Batcher({
      ...{ engine, maxBatchSize: MAX_BATCH, maxQueue: MAX_QUEUE, ensureReady },
      lost: () => undefined,
    })
    const bad = expect(batcher.submit(job([1], { model: 'bad' }))).rejects.toThrow('no such weights')
    const good = batcher.submit(job([2]))
    await Promise.all([bad, good, runDown(engine)])
    expect(engine.batches).toHaveLength(1)
  })

  test('what does not fit the queue is QUEUE_FULL with a time to come back', async () => {
    const { engine, batcher } = setUp()
    const waiting = [1, 2, 3].map(() => batcher.submit(job([1, 2, 3, 4, 5, 6, 7, 8])))
    expect(batcher.queued).toBe(20)
    const error = await refusalOf(batcher.submit(job([1, 2, 3, 4, 5])))
    expect(error.code).toBe('QUEUE_FULL')
    expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(1)
    expect((await refusalOf(batcher.submit(job(new Array<number>(25).fill(0))))).message).toContain(
      'at most 24 images at once',
    )
    await Promise.all([...waiting, runDown(engine)])
    expect(batcher.queued).toBe(0)
  })
})
