import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { stagedIn } from '../../support/staging.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

let folder: string
let running: RunningService
let kept: ModelBody
beforeEach(async () => {
  folder = await temporaryFolder()
  running = await startService({}, folder)
  kept = await running.client.create({ ...tiny, name: 'kept' })
})
afterEach(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const pixels = new Uint8Array(192).fill(9)
const logits = () => running.client.logits('kept', [1, 8, 8, 3], pixels)
async function restart(): Promise<void> {
  await running.close()
  running = await startService({}, folder)
}

it('a data directory that cannot be written fails writes only', async () => {
  const before = await logits()
  const failed = { status: 500, code: 'STORAGE_FAILED', says: /data folder could not be written/ } as const
  for (const part of ['models', 'names', 'staging']) {
    const [there, away] = [join(folder, part), join(folder, `${part}-away`)]
    await rename(there, away)
    await writeFile(there, 'a file where a folder was')
    const weights = { name: 'weights', value: Buffer.from('x'), filename: 'w' }
    const answer =
      part === 'staging'
        ? await running.client.form('/v1/models', [weights])
        : await running.client.post('/v1/models', { ...tiny, seed: 1, name: 'new' })
    expectProblem(answer, failed)
    expect(await logits()).toEqual(before)
    await rm(there)
    await rename(away, there)
  }
  expect((await running.client.post('/v1/models', { ...tiny, seed: 2 })).status).toBe(201)
})

it('missing weights fail their model only, and the error has no path', async () => {
  const { bytes } = await running.client.get('/v1/models/kept/weights')
  const part = { name: 'weights', value: bytes, filename: 'w' }
  const loaded = (await running.client.form('/v1/models', [part])).json as ModelBody
  await running.close()
  await rm(join(folder, 'models', loaded.id, 'weights.safetensors'))
  running = await startService({}, folder)
  const answer = await running.client.upload(`/v1/models/${loaded.id}/predict`, pixelPng)
  const { detail } = expectProblem(answer, {
    status: 500,
    code: 'WEIGHTS_DAMAGED',
    says: /the file is missing; .* Send the weights again/,
  })
  expect(detail).not.toContain(folder)
  expect((await running.client.get(`/v1/models/${loaded.id}`)).json).toMatchObject({
    state: 'failed',
    last_error: { code: 'WEIGHTS_DAMAGED' },
  })
  expect(await logits()).toHaveLength(1)
})

it('a partially written record is skipped, and the others are served', async () => {
  const broken = await running.client.create({ ...tiny, seed: 1, name: 'broken' })
  const before = await logits()
  for (const text of ['{"id": "', '{}', 'null', JSON.stringify({ id: broken.id, specification: {} })]) {
    await running.close()
    await writeFile(join(folder, 'models', broken.id, 'model.json'), text)
    running = await startService({}, folder)
    expectProblem(await running.client.get('/v1/models/broken'), { status: 404, code: 'MODEL_NOT_FOUND' })
    expect(await logits()).toEqual(before)
  }
})

it('a partially written name is free, and the others are unchanged', async () => {
  await running.close()
  for (const [name, text] of [
    ['empty', ''],
    ['half', kept.id.slice(0, 20)],
  ] as const)
    await writeFile(join(folder, 'names', name), text)
  running = await startService({}, folder)
  expect((await running.client.get('/v1/models/kept')).json).toMatchObject({ names: ['kept'] })
  for (const name of ['empty', 'half']) {
    expectProblem(await running.client.get(`/v1/models/${name}`), { status: 404, code: 'MODEL_NOT_FOUND' })
    expect((await running.client.post('/v1/models', { ...tiny, name })).status).toBe(200)
  }
})

it('files of interrupted writes are removed by the next start', async () => {
  await writeFile(join(folder, 'staging', 'half.safetensors'), 'half')
  await writeFile(join(folder, 'names', 'a.1.tmp'), kept.id)
  await restart()
  expect(await readdir(join(folder, 'staging'))).toHaveLength(1)
  expect(await stagedIn(folder)).toEqual([])
  expect(await readdir(join(folder, 'names'))).toEqual(['kept'])
})
