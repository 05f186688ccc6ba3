import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, flowerJpeg, npy } from '../../support/images.ts'
import { slow, tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { runs, startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder, type Settings } from '../../support/service.ts'

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterEach(async () => {
  if (runs(running.pid)) await running.stop('SIGKILL')
})
afterAll(() => rm(folder, { recursive: true }))

const start = async (settings: Settings = {}): Promise<void> => {
  running = await startProcess({ DATA_DIR: folder, ...settings })
}
const noOrphan = (): Promise<boolean> =>
  vi.waitUntil(() => ![...running.workers.values()].some(runs), { timeout: 20_000 })

const shape = [1, 32, 32, 3]
interface Known {
  readonly model: ModelBody
  readonly logits: number[][]
  readonly statistics: unknown
}
async function known(name: string): Promise<Known> {
  const model = await running.client.withDigest(name)
  const logits = await running.client.logits(name, shape, arithmeticImage(shape))
  const statistics = (await running.client.get(`/v1/models/${name}/statistics`)).json
  return { model, logits, statistics }
}

describe('a restarted service', () => {
  let before: Known

  it('exits with 0 on SIGTERM, with requests in flight answered and no process left', async () => {
    await start()
    await running.client.create({ architecture: 'resnet20', seed: 7, name: 'net' })
    await running.client.create({ ...slow, name: 'slow' })
    before = await known('net')
    expect([...running.workers.values()].map(runs)).toEqual([true, true, true])
    const { client, log, workers } = running
    const begun = await whileHalted(workers.get('engine'), async () => {
      const body = npy([1, 64, 64, 3], arithmeticImage([1, 64, 64, 3]))
      const flights = [1, 2].map(() => client.upload('/v1/models/slow/predict', body, 'application/x-npy'))
      // The engine computes one request; the other waits.
      await untilRead(client)
      const ended = running.stop()
      await vi.waitUntil(() => log.some(({ msg }) => msg === 'stopping'), { timeout: 20_000 })
      return { flights, ended }
    })
    expect((await Promise.all(begun.flights)).map(({ status }) => status)).toEqual([200, 200])
    expect(await begun.ended).toBe(0)
    expect([...running.workers.values()].some(runs)).toBe(false)
  })

  it('has the same models with the same seal, the same weights and the same logits, to the bit', async () => {
    await start()
    const listed = (await running.client.get('/v1/models/net')).json as ModelBody
    expect([listed.state, listed.seal]).toEqual(['unloaded', before.model.seal])
    const after = await known('net')
    expect(after.logits).toEqual(before.logits)
    expect(after.statistics).toEqual(before.statistics)
    const { build_ms: _, ...model } = (await running.client.get('/v1/models/net')).json as ModelBody
    expect(before.model).toMatchObject(model)
    expect(await running.stop('SIGINT')).toBe(0)
  })

  it('keeps every acknowledged change after a kill, and its children exit', async () => {
    await start()
    const { id } = await running.client.create({ ...tiny, name: 'last' })
    expect(await running.stop('SIGKILL')).toBe('SIGKILL')
    await noOrphan()
    await start()
    expect((await running.client.get('/v1/models/last')).json).toMatchObject({ id, names: ['last'] })
    expect((await known('net')).logits).toEqual(before.logits)
  })

  it('never serves a model whose weights changed, and serves all others', async () => {
    const { id, seal } = before.model
    const file = join(folder, 'models', id, 'seal.json')
    expect(JSON.parse(await readFile(file, 'utf8'))).toBe(seal)
    const altered = 'f'.repeat(64)
    await writeFile(file, JSON.stringify(altered))
    await start()
    const path = '/v1/models/net/predict'
    for (let asked = 0; asked < 2; asked++) {
      const answer = await running.client.upload(
        path,
        npy(shape, arithmeticImage(shape)),
        'application/x-npy',
      )
      const problem = expectProblem(answer, { status: 500, code: 'WEIGHTS_DIVERGED' })
      expect(problem.detail).toContain(seal)
      expect(problem.detail).toContain(altered)
    }
    expect((await running.client.get('/v1/models/net')).json).toMatchObject({
      state: 'failed',
      last_error: { code: 'WEIGHTS_DIVERGED' },
      model_version_status: [{ version: '1', state: 'END', status: { error_code: 'DATA_LOSS' } }],
    })
    const instances = [{ b64: flowerJpeg.toString('base64') }]
    expectForeignError(await running.client.post('/v1/models/net:predict', { instances }), {
      status: 500,
      says: new RegExp(altered),
    })
    for (const what of ['weights', 'statistics', 'savedmodel']) {
      // A conditional request does not report a client's copy as valid either.
      for (const headers of [{}, { 'if-none-match': '*' }])
        expectProblem(await running.client.get(`/v1/models/net/${what}`, headers), {
          status: 500,
          code: 'WEIGHTS_DIVERGED',
        })
    }
    const other = await running.client.logits('last', [1, 8, 8, 3], arithmeticImage([1, 8, 8, 3]))
    expect(other[0]).toHaveLength(5)
    expectProblem(await running.client.post('/v1/models', { architecture: 'resnet20', seed: 7 }), {
      status: 500,
      code: 'WEIGHTS_DIVERGED',
    })
  })
})
