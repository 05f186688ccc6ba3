import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { runProgram } from '../../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

let running: RunningService
let drawn: ModelBody
let folder: string
beforeAll(async () => {
  running = await startService()
  const { client } = running
  drawn = await client.create({ ...tiny, name: 'drawn' })
  const weights = (await client.get('/v1/models/drawn/weights')).bytes
  const parts = [
    { name: 'spec', value: JSON.stringify({ ...tiny, name: 'loaded' }) },
    { name: 'weights', value: weights, filename: 'weights.safetensors' },
  ]
  expect((await client.form('/v1/models', parts)).status).toBe(201)
  folder = await temporaryFolder()
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const get = (path: string, headers = {}) => running.client.get(path, headers)

/** The paths in a tar archive. */
async function unpacked(bytes: Buffer, name: string): Promise<string[]> {
  const root = join(folder, name)
  await mkdir(root)
  await writeFile(join(folder, `${name}.tar`), bytes)
  await runProgram('tar', ['-xf', join(folder, `${name}.tar`), '-C', root])
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted()
}

it("has TensorFlow Serving's layout under the requested name", async () => {
  const answer = await get('/v1/models/drawn/savedmodel')
  expect(answer.headers['content-type']).toBe('application/x-tar')
  expect(answer.headers['content-disposition']).toBe('attachment; filename="drawn.tar"')
  expect(answer.headers['content-length']).toBe(String(answer.bytes.length))
  expect(await unpacked(answer.bytes, 'serving')).toEqual(['drawn/1/saved_model.pb'])
  const graph = await readFile(join(folder, 'serving/drawn/1/saved_model.pb'))
  expect(graph.length).toBe(drawn.artifact_bytes)
  const byId = await get(`/v1/models/${drawn.id}/savedmodel`)
  expect(byId.bytes.equals(answer.bytes)).toBe(true)
})

it('has a checkpoint for loaded weights, which is removed afterwards', async () => {
  const answer = await get('/v1/models/loaded/savedmodel')
  const [graph, ...variables] = await unpacked(answer.bytes, 'loaded')
  expect([graph, variables.pop()]).toEqual(['loaded/1/saved_model.pb', 'loaded/1/variables/variables.index'])
  // Small tensors share one file.
  expect(variables).toEqual(['loaded/1/variables/variables.data-00000-of-00001'])
  expect((await get('/v1/models/loaded/savedmodel')).bytes.equals(answer.bytes)).toBe(true)
  await expect.poll(() => stagedIn(running.dataDir)).toEqual([])
})

it("has Triton's repository layout with ?config=triton", async () => {
  const answer = await get('/v1/models/drawn/savedmodel?config=triton')
  expect(await unpacked(answer.bytes, 'triton')).toEqual([
    'drawn/1/model.savedmodel/saved_model.pb',
    'drawn/config.pbtxt',
  ])
  const text = await readFile(join(folder, 'triton/drawn/config.pbtxt'), 'utf8')
  expect(text).toMatch(/^name: "drawn"\nplatform: "tensorflow_savedmodel"$/m)
  expect(text).toContain('{ name: "images" data_type: TYPE_FP32 dims: [ 8, 8, 3 ] }')
  expect(text).toContain('{ name: "logits" data_type: TYPE_FP32 dims: [ 5 ] }')
})

it('is 304 for a matching ETag', async () => {
  const { etag = '' } = (await get('/v1/models/drawn/savedmodel')).headers
  expect((await get('/v1/models/drawn/savedmodel', { 'if-none-match': etag })).status).toBe(304)
  const other = (await get('/v1/models/drawn/savedmodel?config=triton')).headers['etag']
  expect(other).not.toBe(etag)
})

it('is rejected with the wrong field, and for an unknown model', async () => {
  expectProblem(await get('/v1/models/drawn/savedmodel?config=onnx'), {
    status: 422,
    code: 'INVALID_REQUEST',
    pointer: '#/config',
  })
  expectProblem(await get('/v1/models/unknown/savedmodel'), { status: 404, code: 'MODEL_NOT_FOUND' })
})
