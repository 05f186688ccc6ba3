import { rm } from 'node:fs/promises'
import type { Static } from 'typebox'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type {
  ExperimentPresetList,
  ExperimentList,
  ExperimentResult,
} from '../../../src/http/native/experiment-schemas.ts'
import type { Answer } from '../../support/client.ts'
import { kill } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

type Result = Static<typeof ExperimentResult>

const PATH = '/v1/experiments'
/** Trainings have the lowest priority and take much longer on a busy machine. */
const PATIENCE_MS = 300_000
/** Trains within a second. */
const small = {
  architecture: {
    stem: { kernel_size: 3, filters: 8, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 8, strides: 2 }],
  },
  initializers: ['he_normal', 'zeros'],
  learning_rates: [0.1, 1e3],
  seeds: [0, 1, 2],
  steps: 66,
}
/** Trains until it is cancelled. */
const long = { ...small, steps: 5000, seeds: [0], learning_rates: [0.001], initializers: ['he_normal'] }

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: folder })
})
afterAll(async () => {
  // With a running experiment, too.
  await running.client.post(PATH, long)
  expect(await running.stop()).toBe(0)
  await rm(folder, { recursive: true })
})

const idOf = (answer: Answer): string => {
  expect([200, 202], answer.bytes.toString().slice(0, 400)).toContain(answer.status)
  const { id } = answer.json as Result
  expect(answer.headers['location']).toBe(`${PATH}/${id}`)
  return id
}
const get = async (id: string): Promise<Result> => (await running.client.get(`${PATH}/${id}`)).json as Result
async function until(id: string, reached: (result: Result) => boolean): Promise<Result> {
  for (;;) {
    const result = await get(id)
    if (reached(result)) return result
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const done = (id: string) => until(id, ({ finished_at }) => finished_at !== null)

describe('an experiment', { timeout: PATIENCE_MS }, () => {
  it('trains every initializer with every learning rate and seed, and reports the result', async () => {
    const asked = await running.client.post(PATH, small)
    expect(asked.status).toBe(202)
    const id = idOf(asked)
    const result = await done(id)
    expect(result).toMatchObject({
      state: 'done',
      last_error: null,
      cost: { runs: 12, steps: 792 },
      progress: { runs_done: 12, runs: 12, step: 0, loss: null },
      current: null,
    })
    expect(result.runs).toHaveLength(12)
    const [he, zeros] = [0, 1].map((initializer) =>
      result.summary.groups.filter((group) => group.initializer === initializer),
    )
    // Random guesses are right once in ten times, with a loss of ln(10).
    expect(he?.[0]).toMatchObject({ trains: true, runs: 3, diverged: 0 })
    expect(he?.[0]?.test_accuracy?.low).toBeGreaterThan(0.4)
    expect(he?.[1]).toMatchObject({ trains: false, diverged: 3, test_accuracy: null })
    expect(zeros?.[0]?.final_loss.mean).toBeCloseTo(Math.log(10), 1)
    expect(result.summary.best).toEqual([
      { initializer: 0, learning_rate: 0.1, trains_with: [0.1] },
      expect.objectContaining({ initializer: 1, trains_with: [] }),
    ])
    expect(result.summary.verdict).toMatch(
      /HeNormal .* is ahead .* Zeros trains with none of the learning rates/,
    )
    for (const { loss, steps } of result.runs) expect(loss).toHaveLength(steps.length)

    // The same request returns the finished job; another run of it gives the same bits.
    const again = await running.client.post(PATH, { ...small, momentum: 0.9 })
    expect([again.status, idOf(again)]).toEqual([200, id])
    expect((await running.client.delete(`${PATH}/${id}`)).status).toBe(204)
    expectProblem(await running.client.get(`${PATH}/${id}`), { status: 404, code: 'EXPERIMENT_NOT_FOUND' })
    expect(idOf(await running.client.post(PATH, small))).toBe(id)
    const repeated = await done(id)
    const bare = ({ runs }: Result) => runs.map(({ ms, ...run }) => run)
    expect(bare(repeated)).toEqual(bare(result))
    expect(repeated.summary).toEqual(result.summary)
  })

  it('reports progress, lets other requests through, and is cancelled; the next one is queued', async () => {
    const id = idOf(await running.client.post(PATH, long))
    const next = idOf(await running.client.post(PATH, { ...long, seeds: [1] }))
    const begun = await until(id, ({ current }) => (current?.loss.length ?? 0) > 0)
    expect(begun).toMatchObject({
      state: 'running',
      progress: { runs_done: 0, steps: 5000 },
      finished_at: null,
    })
    expect(begun.progress.step).toBeGreaterThan(0)
    expect(begun.summary.verdict).toBeNull()
    expect((await get(next)).state).toBe('waiting')

    await running.client.create({ ...tiny, name: 'net' })
    const waits: number[] = []
    for (let bins = 10; bins < 15; bins++) {
      const started = performance.now()
      const { status } = await running.client.get(`/v1/models/net/statistics?bins=${String(bins)}`)
      waits.push(performance.now() - started)
      expect(status).toBe(200)
    }
    // An idle machine needs a quarter of a second.
    expect(Math.min(...waits)).toBeLessThan(2000)
    expect((await get(id)).state).toBe('running')

    expect((await running.client.delete(`${PATH}/${next}`)).status).toBe(204)
    expect((await running.client.delete(`${PATH}/${id}`)).status).toBe(204)
    const cancelled = await get(id)
    expect(cancelled).toMatchObject({ state: 'cancelled', runs: [], current: null })
    expect(await get(next)).toMatchObject({ state: 'cancelled', started_at: null })
    // The same request starts anew.
    const anew = await running.client.post(PATH, long)
    expect([anew.status, idOf(anew)]).toEqual([202, id])
    await until(id, ({ state }) => state === 'running')
  })

  it('is listed, and the queue is limited', async () => {
    const refused: Answer[] = []
    for (let seed = 10; seed < 20; seed++) {
      const answer = await running.client.post(PATH, { ...long, seeds: [seed] })
      if (answer.status === 429) refused.push(answer)
    }
    expect(refused).not.toEqual([])
    for (const answer of refused)
      expectProblem(answer, { status: 429, code: 'QUEUE_FULL', says: /experiments are waiting/ })
    const { experiments } = (await running.client.get(PATH)).json as Static<typeof ExperimentList>
    expect(experiments.filter(({ state }) => state === 'waiting')).toHaveLength(8)
    for (const { id } of experiments) await running.client.delete(`${PATH}/${id}`)
  })

  it('survives a crash of the analysis process', async () => {
    const id = idOf(await running.client.post(PATH, { ...long, steps: 300 }))
    const { progress } = await until(id, ({ progress: { step } }) => step > 0)
    expect(progress.step).toBeLessThan(300)
    kill(running.workers.get('analysis'))
    const result = await done(id)
    expect(result).toMatchObject({ state: 'done', last_error: null, progress: { runs_done: 1 } })
  })
})

describe('invalid requests', () => {
  it.each([
    [{ initializer: ['he_normal'] }, '#/initializer', /initializers/],
    [{ learning_rates: [] }, '#/learning_rates', /./],
    [{ seeds: [0.5] }, '#/seeds/0', /integer/],
    [{ initializers: ['he_norml'] }, '#/initializers/0', /he_normal/],
    [{ steps: 9999 }, '#/steps', /would take about .* s.*multiply-adds/],
    [{ batch_size: 1438 }, '#/batch_size', /1437/],
  ])('%j', async (body, pointer, says) => {
    const answer = await running.client.post(PATH, body)
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer, says })
  })

  it('an unknown experiment', async () => {
    const missing = `${PATH}/${'0'.repeat(64)}`
    for (const answer of [await running.client.get(missing), await running.client.delete(missing)])
      expectProblem(answer, { status: 404, code: 'EXPERIMENT_NOT_FOUND' })
  })
})

it('offers valid example experiments', async () => {
  const { presets } = (await running.client.get('/v1/experiment-presets')).json as Static<
    typeof ExperimentPresetList
  >
  expect(presets.length).toBeGreaterThan(2)
  for (const { experiment } of presets) {
    const answer = await running.client.post(PATH, experiment)
    const id = idOf(answer)
    await running.client.delete(`${PATH}/${id}`)
  }
})
