import { readdir, readFile, rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { PredictionsBody } from '../../support/client.ts'
import { arithmeticImage, npy, truncatedJpeg } from '../../support/images.ts'
import { slow, tiny } from '../../support/networks.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

let running: RunningService
let temporary: string
beforeAll(async () => {
  temporary = await temporaryFolder()
  vi.stubEnv('TMPDIR', temporary)
  running = await startService()
  await running.client.create({ ...tiny, name: 'small' })
})
afterAll(async () => {
  await running.close()
  vi.unstubAllEnvs()
  await rm(temporary, { recursive: true })
})

const shape = [8, 8, 3]
const pixels = npy([1, ...shape], arithmeticImage(shape))
const predict = async (): Promise<number> =>
  (await running.client.upload('/v1/models/small/predict', pixels, 'application/x-npy')).status

/** One dense layer of 33 million parameters, which is assigned by rows, and a dozen convolutions. */
const large = {
  architecture: {
    stem: { kernel_size: 3, filters: 32, strides: 1, pool: null },
    stages: [{ blocks: 6, filters: 32 }],
    input_shape: [32, 32, 3],
    head: { pool: { type: 'average', size: 1, strides: 1 } },
  },
  classes: 1000,
  initializers: { kernel: 'he_normal' },
}

it('predictions are answered while large models are built in turn', async () => {
  const building = new AbortController()
  const build = running.client.create(large).finally(() => {
    building.abort()
  })
  const during: number[] = []
  while (!building.signal.aborted) during.push(await predict())
  await build
  // Sent one at a time, so each ran between two steps of a build; a build in one step would allow two.
  expect(during.length).toBeGreaterThan(8)
  expect(new Set(during)).toEqual(new Set([200]))
})

it('concurrent builds alternate, so a small one does not wait for a large one', async () => {
  const ended: string[] = []
  const first = running.client.create({ ...large, seed: 1 }).then(() => ended.push('large'))
  await predict()
  const second = running.client.create({ ...tiny, seed: 1 }).then(() => ended.push('small'))
  await Promise.all([first, second])
  expect(ended).toEqual(['small', 'large'])
})

it('a model that is built and unloaded repeatedly leaks nothing', async () => {
  const { engine } = running.service
  const { id, spec } = await running.client.create({ ...tiny, seed: 2 })
  const memory = async (): Promise<number> => {
    const status = await readFile(`/proc/${String(engine.pid)}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
  }
  const before = await readdir(temporary)
  let tenth = 0
  for (let round = 1; round <= 40; round++) {
    await engine.build({ id, specification: spec })
    await engine.unload(id)
    if (round === 10) tenth = await memory()
  }
  expect((await memory()) / tenth).toBeLessThan(1.05)
  expect(await readdir(temporary)).toEqual(before)
})

it('invalid requests wait as long as valid ones', async () => {
  const { client } = running
  const { id } = await client.create(slow)
  const path = `/v1/models/${id}/predict`
  const shapeOfAll = [32, ...slow.architecture.input_shape]
  const images = npy(shapeOfAll, arithmeticImage(shapeOfAll))
  const served = new AbortController()
  const answer = client.upload(path, images, 'application/x-npy').finally(() => {
    served.abort()
  })
  const waits: number[] = []
  while (!served.signal.aborted) {
    const sent = performance.now()
    const { status } = await client.upload(path, truncatedJpeg, 'image/jpeg')
    expect(status).toBe(422)
    waits.push(performance.now() - sent)
  }
  const { timing_ms: costs } = (await answer).json as PredictionsBody
  expect(Math.max(...waits)).toBeGreaterThan(costs.compute / 2)
})
