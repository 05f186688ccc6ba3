import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { halt, kill } from '../../support/halt.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { slow, tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

const shape = [1, 8, 8, 3]
const image = npy(shape, arithmeticImage(shape))
const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

it('random kills of a healthy engine under load lose no response, mix up none and quarantine no model', async () => {
  const run = promisify(execFile)(process.execPath, ['bench/parts/kills.mjs', '15'], { cwd: ROOT })
  // The output has more details than the exit code.
  const { stdout } = await run.catch((error: unknown) => error as { stdout: string })
  expect(stdout).toMatch(/15 kills, \d\d+ responses, 0 lost or wrong/)
}, 300_000)

async function withService(act: (running: RunningService) => Promise<void>, settings = {}): Promise<void> {
  const running = await startService(settings)
  try {
    await act(running)
  } finally {
    await running.close()
  }
}

describe('a model that crashes the engine', () => {
  it.each([
    ['whenever it predicts', 'predict'],
    ['whenever it is built', 'build'],
  ] as const)(
    '%s is quarantined; other models lose no response',
    async (_, deadly) => {
      await withService(async ({ client, service: { engine } }) => {
        await client.create({ ...tiny, name: 'good' })
        const specification = { ...tiny, seed: 1, name: 'poison' }
        const { id } = (await client.post('/v1/plans', { ...tiny, seed: 1 })).json as { id: string }
        if (deadly === 'predict') await client.create(specification)
        // Calls are passed through; calls of one model kill the engine.
        const [build, predict] = [engine.build.bind(engine), engine.predict.bind(engine)]
        const killedOver = async <R>(model: string, call: () => Promise<R>): Promise<R> => {
          if (model !== id) return call()
          await vi.waitUntil(() => engine.ready, { interval: 5, timeout: 30_000 })
          const answer = call()
          kill(engine.pid)
          return answer
        }
        if (deadly === 'predict')
          vi.spyOn(engine, 'predict').mockImplementation((batch) =>
            killedOver(batch.id, () => predict(batch)),
          )
        else
          vi.spyOn(engine, 'build').mockImplementation((request) =>
            killedOver(request.id, () => build(request)),
          )
        const ask = (model: string) =>
          client.upload(`/v1/models/${model}/predict?include=logits`, image, 'application/x-npy')
        const askPoison = () =>
          deadly === 'predict' ? ask('poison') : client.post('/v1/models', specification)
        let over = false
        const good = Array.from({ length: 4 }, async () => {
          const answers = [await ask('good')]
          while (!over) answers.push(await ask('good'))
          return answers
        })
        let last = await askPoison()
        while (last.status === 500) last = await askPoison()
        over = true
        const answers = (await Promise.all(good)).flat()
        expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))

        expectProblem(last, {
          status: 503,
          code: 'MODEL_QUARANTINED',
          says: /crashed the engine repeatedly and is blocked for \d+ s/,
        })
        expect(Number(last.headers['retry-after'])).toBeGreaterThan(500)
        const stateOf = async (model: string) => (await client.get(`/v1/models/${model}`)).json as ModelBody
        expect(await stateOf('poison')).toMatchObject({
          state: 'failed',
          last_error: { code: 'MODEL_QUARANTINED' },
          model_version_status: [{ version: '1', state: 'END', status: { error_code: 'UNAVAILABLE' } }],
        })
        expect(await stateOf('good')).toMatchObject({ state: 'ready', last_error: null })
        const { restarts } = engine
        expect((await ask('poison')).status).toBe(503)
        const instances = [Array.from({ length: 8 }, () => Array.from({ length: 8 }, () => [0, 0, 0]))]
        const foreign = await client.post('/v1/models/poison:predict', { instances })
        expectForeignError(foreign, {
          status: 503,
          says: /crashed the engine repeatedly and is blocked for \d+ s/,
        })
        expect(Number(foreign.headers['retry-after'])).toBeGreaterThan(500)
        expect(engine.restarts).toBe(restarts)

        // After the fix and a new creation the model is tried at once.
        vi.restoreAllMocks()
        expect(await client.create({ ...tiny, seed: 1 })).toMatchObject({ state: 'ready', last_error: null })
        expect((await ask('poison')).status).toBe(200)
      })
    },
    180_000,
  )
})

it('an engine that hangs is killed, and its calls are answered', async () => {
  await withService(
    async ({ client, service: { engine } }) => {
      await client.create({ ...slow, name: 'slow' })
      const wanted = await client.logits('slow', [1, 64, 64, 3], arithmeticImage([1, 64, 64, 3]))
      halt(engine.pid)
      expect(await client.logits('slow', [1, 64, 64, 3], arithmeticImage([1, 64, 64, 3]))).toEqual(wanted)
      expect(engine.restarts).toBe(1)
    },
    { ENGINE_TIMEOUT_MS: '10000' },
  )
}, 120_000)
