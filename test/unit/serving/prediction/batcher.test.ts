import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { OPTIONAL_OUTPUTS, outputOf } from '../../../../src/engine/contract.ts'
import type { ServiceError } from '../../../../src/common/errors.ts'
import { Admission } from '../../../../src/serving/prediction/admission.ts'
import type { Permit } from '../../../../src/serving/prediction/permit.ts'
import { Batcher } from '../../../../src/serving/prediction/batcher.ts'
import type { JobResult, PredictionJob } from '../../../../src/serving/prediction/job.ts'
import { Quarantine } from '../../../../src/serving/prediction/quarantine.ts'
import { refusalOf } from '../../support/errors.ts'
import { answerFor, MemoryEngine, numbersOf, settled, undecodedOf } from '../../support/memory-engine.ts'

const MAX_BATCH = 4
const MAX_QUEUE = 24

/** A batcher with an in-memory engine for `room` models; a new model may evict another. */
function setUp({
  room = 9,
  concurrency = 1,
  deadly = () => false,
}: { room?: number; concurrency?: number; deadly?: (image: number) => boolean } = {}) {
  const engine = new MemoryEngine(concurrency)
  const built: string[] = []
  const held: string[] = []
  const quarantine = new Quarantine({ onQuarantine: (model) => held.splice(held.indexOf(model), 1) })
  const admission = new Admission({ maxImages: MAX_QUEUE, maxBytes: 1e6 })
  const models = {
    touchAndCheckReady: (model: string) => held.includes(model),
    ensureReady: async (model: string) => {
      const refusal = quarantine.blockedError(model)
      if (refusal) throw refusal
      if (model === 'bad') throw new Error('no such weights')
      await settled()
      built.push(model)
      held.push(model)
      if (held.length > room) held.shift()
    },
    markLost: () => undefined,
  }
  const batcher = new Batcher({
    ...{ engine, models, quarantine, maxBatchSize: MAX_BATCH },
    onBatch: ({ images, ms }) => {
      admission.recordBatch(images, ms)
    },
  })
  const submit = (job: PredictionJob): Promise<JobResult> =>
    batcher.submit(job).finally(() => {
      job.permit.release(new Error('answered'))
    })
  const job = (images: readonly number[], fields: Fields = {}): PredictionJob => {
    const { kind = 'floats', ...others } = fields
    const values = kinds[kind](images)
    const model = fields.model ?? 'm'
    const place = admission.admit({ client: 'all', model }, 0)
    place.reserve(images.length, 0)
    return { model, count: images.length, values, k: 3, vectors: [], alone: false, permit: place, ...others }
  }
  const step = async (outcome: Outcome = 'answers'): Promise<void> => {
    const [computed] = engine.current
    const dies = outcome === 'crashes' || computed?.some(deadly) === true
    if (dies && engine.busy) held.length = 0
    engine.step(dies ? 'crashes' : 'answers')
    await settled()
  }
  /** Ends batches with these outcomes, and further ones with success, until none is left. */
  const runDown = async (outcomes: Outcome[] = []): Promise<void> => {
    for (let idle = 0; idle < 5; idle = engine.busy ? 0 : idle + 1) {
      if (engine.busy) await step(outcomes.shift())
      else await settled()
    }
  }
  /** Waits until the submitted requests have reached the engine. */
  const begun = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await settled()
  }
  return { engine, batcher, built, held, quarantine, admission, submit, job, step, runDown, begun }
}

type Outcome = 'answers' | 'crashes'
const kinds = {
  floats: (images: readonly number[]) => Float32Array.from(images),
  pixels: (images: readonly number[]) => Uint8Array.from(images),
  jpegs: (images: readonly number[]) => images.map((image) => Uint8Array.of(image)),
}
type Fields = Partial<PredictionJob> & { kind?: keyof typeof kinds }

function expectAnswer(result: JobResult, { values, k, vectors }: PredictionJob): void {
  const images = numbersOf(values)
  const rows = images.map(answerFor)
  expect(result.undecoded).toEqual(undecodedOf(values))
  expect([...result.entropy]).toEqual(images)
  expect([...result.topClasses]).toEqual(rows.flatMap((row) => row.topClasses.slice(0, k)))
  const top = (of: 'logits' | 'probabilities') =>
    rows.flatMap((row) => row.topClasses.slice(0, k).map((c) => row[of][c]))
  expect([...result.topLogits]).toEqual(top('logits'))
  expect([...result.topProbabilities]).toEqual(top('probabilities'))
  expect([...result.finite]).toEqual(images.map((image) => image % 2))
  expect(Object.keys(result.vectors)).toEqual(vectors)
  for (const vector of vectors)
    expect([...outputOf(result, vector)]).toEqual(rows.flatMap((row) => row[vector]))
}

const requests = fc.record({
  ...{
    model: fc.constantFrom('m', 'n', 'o'),
    size: fc.integer({ min: 1, max: 10 }),
    k: fc.integer({ min: 1, max: 6 }),
  },
  ...{
    vectors: fc.subarray([...OPTIONAL_OUTPUTS]),
    alone: fc.boolean(),
    kind: fc.constantFrom('floats', 'pixels', 'jpegs'),
  },
  /** The number of batches before this request, and after how many more its caller aborts, if at all. */
  ...{ steps: fc.nat(2), leaves: fc.option(fc.nat(3), { freq: 4 }) },
})
const outcome = fc.oneof(
  { weight: 5, arbitrary: fc.constant('answers' as const) },
  { weight: 1, arbitrary: fc.constant('crashes' as const) },
)

describe('random arrivals, aborts, crashes and evictions', () => {
  test('every request gets its own result or its own error, and batches are valid', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        fc.array(requests, { minLength: 1, maxLength: 12 }),
        fc.array(outcome, { maxLength: 20 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 2 }),
        async (list, outcomes, room, concurrency) => {
          const { engine, admission, submit, job, step, runDown } = setUp({ room, concurrency })
          let next = 0
          const pending: { one: PredictionJob; end: Promise<{ value: JobResult } | { error: unknown }> }[] =
            []
          const waiting: { place: Permit; after: number }[] = []
          for (const { steps, leaves, size, ...fields } of list) {
            const images = Array.from({ length: size }, () => next++)
            const waits = admission.images
            let one: PredictionJob
            try {
              one = job(images, fields)
            } catch (error) {
              expect((error as ServiceError).code).toBe('QUEUE_FULL')
              expect(waits + size).toBeGreaterThan(MAX_QUEUE)
              seen.add('refused')
              continue
            }
            const end = submit(one).then(
              (value) => ({ value }),
              (error: unknown) => ({ error }),
            )
            pending.push({ one, end })
            if (leaves !== null) waiting.push({ place: one.permit, after: leaves })
            for (let done = 0; done < steps; done++) {
              await step(outcomes.shift())
              for (const left of waiting)
                if (left.after-- === 0) left.place.release(new Error('the caller left'))
            }
          }
          await runDown(outcomes)
          for (const { one, end } of pending) {
            const ended = await end
            if ('value' in ended) {
              seen.add('answered')
              expectAnswer(ended.value, one)
              expect(ended.value.batchSize).toBeLessThanOrEqual(MAX_BATCH)
              continue
            }
            const { code, message } = ended.error as { code?: string; message: string }
            seen.add(code ?? message)
          }
          for (const { id, count, values } of engine.batches) {
            expect(count).toBeLessThanOrEqual(MAX_BATCH)
            expect(values).toHaveLength(count)
            const images = numbersOf(values)
            for (const image of images) {
              const owner = pending.find(({ one }) => numbersOf(one.values).includes(image))?.one
              expect([owner?.model, owner?.values.constructor]).toEqual([id, values.constructor])
              if (owner?.alone) expect(numbersOf(owner.values)).toEqual(expect.arrayContaining(images))
            }
          }
          expect([admission.images, admission.bytes]).toEqual([0, 0])
        },
      ),
      { numRuns: 300, seed: 20 },
    )
    expect([...seen].sort()).toEqual([
      ...['ENGINE_CRASHED', 'QUEUE_FULL', 'answered', 'refused', 'the caller left'],
    ])
  })

  test('random crashes lose nothing and quarantine nothing, however frequent', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { minLength: 100, maxLength: 100 }), async (pauses) => {
        const { engine, quarantine, submit, job, step, begun } = setUp()
        const answers: Promise<void>[] = []
        let next = 0
        for (const pause of pauses) {
          for (const model of ['m', 'n']) {
            const one = job([next++ % 97], { model })
            answers.push(
              submit(one).then((result) => {
                expectAnswer(result, one)
              }),
            )
          }
          await begun()
          for (let well = 0; well < 2 + pause; well++) {
            await step()
            await begun()
          }
          await step('crashes')
          await begun()
        }
        while (engine.busy) {
          await step()
          await begun()
        }
        await Promise.all(answers)
        expect([quarantine.blockedError('m'), quarantine.blockedError('n')]).toEqual([undefined, undefined])
      }),
      { numRuns: 10, seed: 7 },
    )
  })
})

describe('batches', () => {
  test('join the queued requests of one model, the oldest first', async () => {
    const { engine, built, submit, job, runDown, begun } = setUp()
    const first = submit(job([1]))
    await begun()
    const jobs = [job([2]), job([3, 4], { model: 'n' }), job([5, 6]), job([7])]
    const results = jobs.map((one) => submit(one))
    await runDown()
    expect(engine.images).toEqual([[1], [2, 5, 6, 7], [3, 4]])
    expect(built).toEqual(['m', 'n'])
    expect((await Promise.all([first, ...results])).map(({ batchSize }) => batchSize)).toEqual([
      1, 4, 2, 4, 4,
    ])
  })

  test('are collected while the engine computes, and sent ahead when they are full', async () => {
    const { engine, submit, job, runDown, begun } = setUp()
    const results = [submit(job([1]))]
    await begun()
    results.push(submit(job([2, 3])))
    await begun()
    expect(engine.images).toEqual([[1]])
    results.push(submit(job([4, 5])))
    await begun()
    expect(engine.images).toEqual([[1], [2, 3, 4, 5]])
    results.push(submit(job([6, 7, 8, 9])))
    await begun()
    expect(engine.images).toHaveLength(2)
    await Promise.all([...results, runDown()])
  })

  test('take half of the queued and the just computed images, so that batches are even', async () => {
    const { engine, submit, job, step, runDown, begun } = setUp()
    const results = [submit(job([1]))]
    await begun()
    results.push(...[2, 3, 4].map((image) => submit(job([image]))))
    await step()
    await begun()
    results.push(submit(job([5])))
    await step()
    await begun()
    expect(engine.images).toEqual([[1], [2, 3], [4, 5]])
    await Promise.all([...results, runDown()])
  })

  test('are awaited by inFlightSettled while they are computed only', async () => {
    const { batcher, submit, job, step, begun } = setUp()
    const passed: string[] = []
    const turn = async (name: string): Promise<void> => {
      await batcher.inFlightSettled()
      passed.push(name)
    }
    await turn('idle')
    const result = submit(job([1]))
    await begun()
    const waiting = turn('busy')
    await begun()
    expect(passed).toEqual(['idle'])
    await step('crashes')
    await waiting
    expect(passed).toEqual(['idle', 'busy'])
    await Promise.all([
      result,
      begun()
        .then(() => step())
        .then(() => step()),
    ])
  })

  test('run up to the concurrency of the engine, with as many full batches sent ahead', async () => {
    const { engine, admission, submit, job, runDown, begun } = setUp({ concurrency: 2 })
    const results = [submit(job([1])), submit(job([2], { model: 'n' }))]
    await begun()
    results.push(submit(job([3])))
    await begun()
    expect([engine.images, admission.images]).toEqual([[[1], [2]], 1])
    results.push(...[4, 5, 6].map((image) => submit(job([image]))))
    for (const image of [10, 20, 30]) results.push(submit(job([image, image + 1, image + 2, image + 3])))
    await begun()
    expect(engine.current).toEqual([[1], [2], [3, 4, 5, 6], [10, 11, 12, 13]])
    // The batch that was sent ahead still waits.
    expect(admission.images).toBe(16)
    await Promise.all([...results, runDown()])
    expect(admission.images).toBe(0)
  })

  test('join uint8 images of any view: a decoder returns Buffers', async () => {
    const { engine, submit, job, runDown, begun } = setUp()
    const first = submit(job([1]))
    await begun()
    const others = [Buffer.of(2), Uint8Array.of(3), Float32Array.of(4)].map((values) =>
      submit(job([0], { values })),
    )
    await runDown()
    expect(engine.images).toEqual([[1], [2, 3], [4]])
    expect((await Promise.all([first, ...others])).map(({ batchSize }) => batchSize)).toEqual([1, 2, 2, 1])
  })

  test('of a large request are split, its rows in order', async () => {
    const { engine, submit, job, runDown } = setUp()
    const large = job([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { vectors: ['features'] })
    const result = submit(large)
    await runDown()
    expect(engine.batches.map(({ count }) => count)).toEqual([4, 4, 2])
    expectAnswer(await result, large)
  })

  test('of aborted jobs are not computed', async () => {
    const { engine, submit, job, runDown, begun } = setUp()
    const first = submit(job([1]))
    await begun()
    const one = job([2])
    const left = submit(one)
    one.permit.release(new Error('gone'))
    await Promise.all([expect(left).rejects.toThrow('gone'), first, runDown()])
    expect(engine.images).toEqual([[1]])
    await expect(submit(one)).rejects.toThrow('gone')
  })

  test('are taken from the model with the least recent engine time', async () => {
    const { engine, submit, job, runDown, begun } = setUp()
    await Promise.all([submit(job([0], { model: 'n' })), runDown()])
    const flood = [1, 2, 3, 4, 5, 6].map((image) => submit(job([image], { alone: true })))
    await begun()
    const trickle = submit(job([9], { model: 'n' }))
    await Promise.all([...flood, trickle, runDown()])
    // One batch is computed, one was sent ahead.
    expect(engine.images.slice(1, 5)).toEqual([[1], [2], [9], [3]])
  })

  test('of models that do not fit together are served in turn', async () => {
    const { built, submit, job, runDown } = setUp({ room: 1 })
    const results = ['m', 'n', 'm', 'n'].map((model, image) => submit(job([image], { model })))
    await Promise.all([...results, runDown()])
    expect(built).toEqual(['m', 'n'])
  })
})

describe('engine crashes', () => {
  test('lose nothing: the batches are retried', async () => {
    const { engine, submit, job, runDown } = setUp()
    const [one, two] = [job([1, 2, 3, 4]), job([5, 6, 7, 8])]
    const results = Promise.all([submit(one), submit(two)])
    await runDown(['crashes'])
    for (const [index, result] of (await results).entries()) expectAnswer(result, [one, two][index] ?? one)
    expect(engine.images).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ])
  })

  test('are traced by bisection to the responsible request; the others are answered', async () => {
    const { engine, submit, job, runDown, begun } = setUp({ deadly: (image) => image === 3 })
    const before = submit(job([0]))
    await begun()
    const results = Promise.allSettled([1, 2, 3, 4].map((image) => submit(job([image]))))
    await Promise.all([before, runDown()])
    expect(engine.images).toEqual([[0], [1, 2, 3, 4], [1, 2], [3, 4], [3], [4], [3]])
    expect((await results).map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    ])
  })

  test('run one at a time during retries', async () => {
    const { engine, submit, job, step, begun } = setUp({ concurrency: 2 })
    const results = [1, 2].map((image) => submit(job([image], { alone: true })))
    await begun()
    await step('crashes')
    results.push(submit(job([3])))
    await begun()
    const together: number[] = []
    while (engine.busy) {
      together.push(engine.current.length)
      await step()
      await begun()
    }
    expect(engine.images).toEqual([[1], [2], [1], [2], [3]])
    expect(together).toEqual([1, 1, 1])
    expect(await Promise.all(results)).toHaveLength(3)
  })

  test('twice over one request alone give ENGINE_CRASHED, and the next request is served', async () => {
    const { engine, admission, submit, job, runDown } = setUp()
    const [error] = await Promise.all([refusalOf(submit(job([1]))), runDown(['crashes', 'crashes'])])
    expect(error.code).toBe('ENGINE_CRASHED')
    expect(engine.batches).toHaveLength(2)
    expect(admission.images).toBe(0)
    const next = job([5])
    const [answer] = await Promise.all([submit(next), runDown()])
    expectAnswer(answer, next)
  })

  test('caused by one model quarantine it, and no other model loses a response', async () => {
    const { quarantine, submit, job, step, runDown, begun } = setUp({ deadly: (image) => image >= 100 })
    const good: Promise<JobResult>[] = []
    const poison: Promise<ServiceError>[] = []
    for (let round = 0; round < 12; round++) {
      good.push(submit(job([round])))
      if (quarantine.blockedError('p') === undefined && round < 4)
        poison.push(refusalOf(submit(job([100 + round], { model: 'p' }))))
      await begun()
      await step()
    }
    await runDown()
    expect(await Promise.all(good)).toHaveLength(12)
    expect(quarantine.blockedError('m')).toBeUndefined()
    expect(quarantine.blockedError('p')?.code).toBe('MODEL_QUARANTINED')
    const codes = (await Promise.all(poison)).map(({ code }) => code)
    expect(new Set(codes)).toEqual(new Set(['ENGINE_CRASHED', 'MODEL_QUARANTINED']))
  })
})

test('a model that cannot be built fails its own requests only', async () => {
  const { engine, submit, job, runDown } = setUp()
  const bad = expect(submit(job([1], { model: 'bad' }))).rejects.toThrow('no such weights')
  const good = submit(job([2]))
  await Promise.all([bad, good, runDown()])
  expect(engine.batches).toHaveLength(1)
})
