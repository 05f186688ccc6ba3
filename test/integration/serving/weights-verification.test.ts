import { execFile } from 'node:child_process'
import {
  copyFile,
  mkdir,
  open,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { arithmeticImage, pixelPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

let folder: string
let running: RunningService
let model: ModelBody
let other: ModelBody
let sound: Buffer
let before: number[][]
let otherBefore: number[][]

const shape = [1, 8, 8, 3]
const logits = (id: string) => running.client.logits(id, shape, arithmeticImage(shape))
const fileOf = ({ id }: ModelBody, name = 'weights.safetensors') => join(folder, 'models', id, name)
const send = (bytes: Buffer) =>
  running.client.form('/v1/models', [{ name: 'weights', value: bytes, filename: 'w' }])

async function restart(settings = {}): Promise<void> {
  await running.close()
  running = await startService(settings, folder)
}

async function load(seed: number): Promise<ModelBody> {
  const drawn = await running.client.create({ ...tiny, seed })
  const { bytes } = await running.client.get(`/v1/models/${drawn.id}/weights`)
  return (await send(bytes)).json as ModelBody
}

async function flipBit(path: string, fromEnd = 10): Promise<void> {
  const file = await open(path, 'r+')
  const { size } = await file.stat()
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - fromEnd)
  await file.write(Buffer.of((buffer[0] ?? 0) ^ 1), 0, 1, size - fromEnd)
  await file.close()
}

/** The number of threads that verified weights; this process starts no others. */
let threads = 0
process.on('worker', () => (threads += 1))

beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startService({}, folder)
  model = await load(1)
  other = await load(2)
  sound = (await running.client.get(`/v1/models/${model.id}/weights`)).bytes
  before = await logits(model.id)
  otherBefore = await logits(other.id)
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

/** Every route rejects the model and serves the other one. */
async function expectDamaged(says: RegExp): Promise<void> {
  const path = `/v1/models/${model.id}`
  const damaged = { status: 500, code: 'WEIGHTS_DAMAGED', says } as const
  for (const what of ['weights', 'statistics', 'savedmodel'])
    for (const headers of [{}, { 'if-none-match': '*' }])
      expectProblem(await running.client.get(`${path}/${what}`, headers), damaged)
  const relative = await running.client.get(`/v1/models/${other.id}/statistics?relative_to=${model.id}`)
  expectProblem(relative, damaged)
  expectProblem(await running.client.post(`${path}/signals`, { batch_size: 1, repeats: 1 }), damaged)
  const problem = expectProblem(await running.client.upload(`${path}/predict`, pixelPng), damaged)
  expect(problem.detail).not.toContain(folder)
  const instances = [{ b64: pixelPng.toString('base64') }]
  const foreign = { status: 500, says }
  expectForeignError(await running.client.post(`${path}:predict`, { instances }), foreign)
  const inputs = [{ name: 'images', shape, datatype: 'UINT8', data: [...arithmeticImage(shape)] }]
  expectForeignError(await running.client.post(`/v2/models/${model.id}/infer`, { inputs }), foreign)
  expect((await running.client.get(path)).json).toMatchObject({
    ...{ state: 'failed', ready: false, last_error: { code: 'WEIGHTS_DAMAGED' } },
    model_version_status: [{ state: 'END', status: { error_code: 'DATA_LOSS' } }],
  })
  expect(await logits(other.id)).toEqual(otherBefore)
  expect((await running.client.get(`/v1/models/${other.id}/weights`)).status).toBe(200)
}

async function expectRepaired(): Promise<void> {
  const repaired = await send(sound)
  expect([repaired.status, (repaired.json as ModelBody).state], repaired.bytes.toString()).toEqual([
    200,
    'ready',
  ])
  expect(await logits(model.id)).toEqual(before)
  for (const what of ['weights', 'statistics', 'savedmodel'])
    expect((await running.client.get(`/v1/models/${model.id}/${what}`)).status).toBe(200)
}

describe('a flipped bit in stored weights', () => {
  it('fails their model after a start until a new upload', async () => {
    await running.close()
    await flipBit(fileOf(model))
    running = await startService({}, folder)
    await expectDamaged(/the digest of the tensors is [0-9a-f]{64}/)
    await expectRepaired()
  })

  it('is detected again after another start, and a manual copy repairs it as well', async () => {
    await flipBit(fileOf(model))
    await restart()
    await expectDamaged(/digest of the tensors/)
    await writeFile(fileOf(model), sound)
    expect(await logits(model.id)).toEqual(before)
  })

  it('is detected in weights of PRELOAD, and repaired by its file', async () => {
    const preload = await temporaryFolder()
    await writeFile(join(preload, 'net.safetensors'), sound)
    await flipBit(fileOf(model))
    await restart({ PRELOAD: preload })
    await running.service.preload()
    expect((await running.client.get('/v1/models/net')).json).toMatchObject({ id: model.id, state: 'ready' })
    expect(await logits('net')).toEqual(before)
    await rm(preload, { recursive: true })
  })
})

describe('a file that is replaced while the service runs:', () => {
  beforeEach(async () => {
    expect(await logits(model.id)).toEqual(before)
  })
  const spoil: Readonly<Record<string, readonly [() => Promise<unknown>, RegExp]>> = {
    'a bit of it flips': [() => flipBit(fileOf(model)), /digest of the tensors/],
    'a bit of it flips, and its time is set back': [
      async () => {
        const { atime, mtime } = await stat(fileOf(model))
        await flipBit(fileOf(model))
        await utimes(fileOf(model), atime, mtime)
      },
      /digest of the tensors/,
    ],
    'a bit of its header flips': [
      () => flipBit(fileOf(model), sound.length - 20),
      /safetensors|tensors|missing|shape/,
    ],
    'it is cut off': [() => truncate(fileOf(model), sound.length - 1), /is not a safetensors file/],
    'it is emptied': [() => truncate(fileOf(model), 0), /is not a safetensors file/],
    'it becomes longer': [() => writeFile(fileOf(model), 'x', { flag: 'a' }), /is not a safetensors file/],
    "it becomes another model's": [() => copyFile(fileOf(other), fileOf(model)), /digest of the tensors/],
    'it is removed': [() => rm(fileOf(model)), /the file is missing/],
    'a folder replaces it': [
      async () => {
        await rm(fileOf(model))
        await mkdir(fileOf(model))
      },
      /not a regular file/,
    ],
    'a FIFO replaces it': [
      async () => {
        await rm(fileOf(model))
        await promisify(execFile)('mkfifo', [fileOf(model)])
      },
      /not a regular file/,
    ],
    'a link to itself replaces it': [
      async () => {
        await rm(fileOf(model))
        await symlink('weights.safetensors', fileOf(model))
      },
      /cannot be read \(ELOOP\)/,
    ],
  }
  it.each(Object.entries(spoil))('%s', async (_, [change, says]) => {
    await change()
    await expectDamaged(says)
    await expectRepaired()
  })
})

it('weights are verified once, and again only after a change of their file', async () => {
  await restart()
  threads = 0
  for (let round = 0; round < 3; round += 1) {
    expect(await logits(model.id)).toEqual(before)
    expect((await running.client.get(`/v1/models/${model.id}/weights`)).status).toBe(200)
    expect((await running.client.get(`/v1/models/${model.id}/statistics`)).status).toBe(200)
    expect((await running.client.post(`/v2/repository/models/${model.id}/unload`, {})).status).toBe(200)
  }
  expect(threads).toBe(1)
  const now = new Date()
  await utimes(fileOf(model), now, now)
  expect(await logits(model.id)).toEqual(before)
  expect(threads).toBe(2)
})

it('damaged weights take no memory from other models', async () => {
  // Each build evicts all other models.
  await restart({ MEMORY_BUDGET_BYTES: '1' })
  await flipBit(fileOf(model))
  expect(await logits(other.id)).toEqual(otherBefore)
  expectProblem(await running.client.upload(`/v1/models/${model.id}/predict`, pixelPng), {
    status: 500,
    code: 'WEIGHTS_DAMAGED',
  })
  expect((await running.client.get(`/v1/models/${other.id}`)).json).toMatchObject({ state: 'ready' })
  await restart()
  await expectRepaired()
})

describe('a record of loaded weights that was edited', () => {
  type Stored = Record<string, unknown> & { specification: { preprocessing: object } }
  const edit = async (change: (record: Stored) => object): Promise<Stored> => {
    const record = JSON.parse(await readFile(fileOf(model, 'model.json'), 'utf8')) as Stored
    await running.close()
    await writeFile(fileOf(model, 'model.json'), JSON.stringify(change(record)))
    running = await startService({}, folder)
    return record
  }
  const brighter = (record: Stored): Stored => ({
    ...record,
    specification: {
      ...record.specification,
      preprocessing: { ...record.specification.preprocessing, scale: 2 },
    },
  })

  it('is ignored; a new upload restores it', async () => {
    await edit(brighter)
    expectProblem(await running.client.get(`/v1/models/${model.id}`), {
      status: 404,
      code: 'MODEL_NOT_FOUND',
    })
    expect(await logits(other.id)).toEqual(otherBefore)
    expect((await send(sound)).status).toBe(201)
    expect(await logits(model.id)).toEqual(before)
  })

  it('is never served if it is older than the digest in the record', async () => {
    const record = await edit(({ tensors_sha256, ...old }) => {
      expect(tensors_sha256).toMatch(/^[0-9a-f]{64}$/)
      return old
    })
    expect(await logits(model.id)).toEqual(before)
    await edit(brighter)
    await expectDamaged(/does not result in the id/)
    await edit(() => record)
    expect(await logits(model.id)).toEqual(before)
  })

  it('is never served if the digest of its parameters was edited', async () => {
    await running.client.withDigest(model.id)
    await running.close()
    const digest = fileOf(model, 'weights_sha256.json')
    const text = await readFile(digest, 'utf8')
    await writeFile(digest, JSON.stringify('f'.repeat(64)))
    running = await startService({}, folder)
    await expectDamaged(/the record has f{64}/)
    await writeFile(digest, text)
    await restart()
    expect(await logits(model.id)).toEqual(before)
  })
})

it('an export is aborted if the file is replaced during the transfer', async () => {
  const wide = {
    ...tiny,
    architecture: { ...tiny.architecture, stages: [{ blocks: 1, filters: 24 }] },
    classes: 1_000_000,
  }
  const { id } = await running.client.create(wide)
  const { bytes } = await running.client.get(`/v1/models/${id}/weights`)
  const loaded = (await send(bytes)).json as ModelBody
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${running.client.url}/v1/models/${loaded.id}/weights`, resolve).on('error', reject)
  })
  expect(answer.statusCode).toBe(200)
  // The service reads ahead by one part of 16 MB and the socket buffers.
  await flipBit(fileOf(loaded))
  let length = 0
  answer.on('data', (part: Buffer) => (length += part.length))
  await expect(
    new Promise((resolve, reject) => answer.on('end', resolve).on('error', reject)),
  ).rejects.toThrow(/aborted/)
  expect(length).toBeLessThan(bytes.length)
  expectProblem(await running.client.get(`/v1/models/${loaded.id}/weights`), {
    status: 500,
    code: 'WEIGHTS_DAMAGED',
  })
})
