import { rm } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, ModelBody, Part } from '../../support/client.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem, type Refusal } from '../../support/problems.ts'
import { changeTensors, parseSafetensors, writeSafetensors } from '../../support/safetensors.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'
import { stagedIn } from '../../support/staging.ts'

const shape = [1, 8, 8, 3]
let folder: string
let running: RunningService
let drawn: ModelBody
let file: Buffer
let logits: number[][]
beforeAll(async () => {
  folder = await temporaryFolder()
  running = await startService({ MAX_MODEL_PARAMETERS: '5000', MAX_BODY_BYTES: '10000' }, folder)
  drawn = await running.client.create(tiny)
  file = (await running.client.get(`/v1/models/${drawn.id}/weights`)).bytes
  logits = await running.client.logits(drawn.id, shape, arithmeticImage(shape))
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})
// No upload leaves temporary files.
afterEach(async () => {
  // A digest that is computed after the response is also staged for a moment.
  await expect.poll(() => stagedIn(folder)).toEqual([])
})

const part = (value: Buffer): Part => ({ name: 'weights', value, filename: 'weights.safetensors' })
const spec = (body: object = tiny): Part => ({ name: 'spec', value: JSON.stringify(body) })
const load = (...parts: Part[]): Promise<Answer> => running.client.form('/v1/models', parts)

const ids = async (): Promise<string[]> => {
  const { json } = await running.client.get('/v1/models')
  return (json as { models: ModelBody[] }).models.map(({ id }) => id)
}

describe('exported weights', () => {
  it('load as a separate, persistent model with the same predictions', async () => {
    const answer = await load(spec({ ...tiny, name: 'loaded' }), part(file))
    const loaded = answer.json as ModelBody
    expect(answer.status).toBe(201)
    expect(loaded).toMatchObject({ weights: 'loaded', state: 'ready', names: ['loaded'], spec: drawn.spec })
    expect(loaded.id).not.toBe(drawn.id)
    expect(loaded.seal).toBe(drawn.seal)
    expect(await running.client.logits('loaded', shape, arithmeticImage(shape))).toEqual(logits)
    const { weights_sha256 } = await running.client.withDigest(loaded.id)
    expect(weights_sha256).toBe((await running.client.withDigest(drawn.id)).weights_sha256)
    expect(parseSafetensors((await running.client.get('/v1/models/loaded/weights')).bytes).tensors).toEqual(
      parseSafetensors(file).tensors,
    )
    const { json } = await running.client.get('/v1/models/loaded/statistics')
    expect(json).toMatchObject({ weights: 'loaded', totals: { sha256: weights_sha256 } })

    await running.close()
    running = await startService({ MAX_MODEL_PARAMETERS: '5000', MAX_BODY_BYTES: '10000' }, folder)
    expect((await running.client.get('/v1/models/loaded')).json).toMatchObject({
      ...loaded,
      ...{ state: 'unloaded', ready: false },
      weights_sha256,
      artifact_bytes: null,
      build_ms: null,
    })
    expect(await running.client.logits('loaded', shape, arithmeticImage(shape))).toEqual(logits)
  })

  it('need no specification: the file contains it', async () => {
    const [withSpec, without] = [await load(spec(), part(file)), await load(part(file))]
    expect([withSpec.status, without.status]).toEqual([200, 200])
    expect((without.json as ModelBody).id).toBe((withSpec.json as ModelBody).id)
  })

  it('have an inferred specification without metadata', async () => {
    const { json } = await load(part(writeSafetensors({ ...parseSafetensors(file), metadata: {} })))
    expect(json).toMatchObject({ weights: 'loaded', spec: { classes: 5 }, loaded: { names: 'resinit' } })
  })

  it('accept a specification as a file part', async () => {
    const asFile = { name: 'spec', value: JSON.stringify({ ...tiny, name: 'filed' }), filename: 'spec.json' }
    expect((await load(asFile, part(file))).json).toMatchObject({
      weights: 'loaded',
      names: expect.arrayContaining(['filed']) as unknown,
    })
  })

  it('accept a specification of type JSON', async () => {
    const text = JSON.stringify({ ...tiny, name: 'typed' })
    const body = Buffer.concat([
      Buffer.from('--x\r\nContent-Disposition: form-data; name="spec"\r\n'),
      Buffer.from(`Content-Type: application/json\r\n\r\n${text}\r\n--x\r\n`),
      Buffer.from('Content-Disposition: form-data; name="weights"; filename="w"\r\n\r\n'),
      file,
      Buffer.from('\r\n--x--\r\n'),
    ])
    const answer = await running.client.upload('/v1/models', body, 'multipart/form-data; boundary=x')
    expect((answer.json as ModelBody).names).toContain('typed')
  })

  it('have another id if a value differs', async () => {
    const other = changeTensors(file, (tensors) => {
      const { bytes, shape: kept } = tensors.get('head/dense/bias') ?? { bytes: Buffer.alloc(0), shape: [] }
      tensors.set('head/dense/bias', {
        shape: kept,
        bytes: Buffer.alloc(bytes.length, Buffer.from(Float32Array.of(2).buffer)),
      })
    })
    const answer = await load(part(other))
    const { id } = answer.json as ModelBody
    expect(answer.status).toBe(201)
    const [row = []] = await running.client.logits(id, shape, arithmeticImage(shape))
    row.forEach((value, index) => {
      expect(value).toBeCloseTo((logits[0]?.[index] ?? NaN) + 2, 4)
    })
  })
})

it('non-finite weights are strings in every response', async () => {
  const answer = await load(
    part(
      changeTensors(file, (tensors) => {
        const { shape: kept = [], bytes = Buffer.alloc(0) } = tensors.get('stem/conv/kernel') ?? {}
        const values = new Float32Array(bytes.length / 4).fill(1)
        values.set([NaN, Infinity, -Infinity])
        tensors.set('stem/conv/kernel', { shape: kept, bytes: Buffer.from(values.buffer) })
      }),
    ),
  )
  const { id } = answer.json as ModelBody
  expect(answer.status).toBe(201)
  const path = `/v1/models/${id}/statistics?include=histogram,quantiles&bins=2`
  const { json } = await running.client.get(path)
  const { parameters } = json as { parameters: { name: string }[] }
  expect(parameters.find(({ name }) => name === 'stem/conv/kernel')).toMatchObject({
    sample: { mean: 1, min: 1, max: 1, non_finite: 3 },
    histogram: { edges: [0.5, 1, 1.5], counts: [0, 105] },
    quantiles: { '0.5': 1 },
    quantiles_sample_size: 105,
    tests: null,
  })
  const [row = []] = await running.client.logits(id, shape, arithmeticImage(shape))
  expect(row.filter((value) => !Number.isFinite(value))).toHaveLength(5)
})

const invalid = (pointer: string, says: RegExp): Refusal => ({
  status: 422,
  code: 'INVALID_WEIGHTS',
  pointer,
  says,
})
describe('rejected:', () => {
  it.each<readonly [string, () => Part[], Refusal]>([
    [
      'a missing tensor',
      () => [spec(), part(changeTensors(file, (tensors) => tensors.delete('stem/conv/kernel')))],
      invalid('#/weights/stem~1conv~1kernel', /is missing; \[3, 3, 3, 4\] is expected/),
    ],
    [
      'an extra tensor',
      () => [
        spec(),
        part(
          changeTensors(file, (tensors) => tensors.set('stem/extra', { shape: [1], bytes: Buffer.alloc(4) })),
        ),
      ],
      invalid('#/weights/stem~1extra', /is not a parameter of this network/),
    ],
    [
      'a tensor of another shape',
      () => [
        spec(),
        part(
          changeTensors(file, (tensors) =>
            tensors.set('head/dense/bias', { shape: [6], bytes: Buffer.alloc(24) }),
          ),
        ),
      ],
      invalid('#/weights/head~1dense~1bias', /must have shape \[5\], got \[6\]/),
    ],
    [
      'a truncated file',
      () => [spec(), part(file.subarray(0, -1))],
      invalid('#/weights', /bytes of data, but its header describes/),
    ],
    [
      'a file of its length only',
      () => [spec(), part(file.subarray(0, 8))],
      invalid('#/weights', /no known format/),
    ],
    [
      'a wrong header length',
      () => {
        const lying = Buffer.from(file)
        lying.writeBigUInt64LE(2n ** 62n)
        return [spec(), part(lying)]
      },
      invalid('#/weights', /no known format/),
    ],
    [
      'no safetensors at all',
      () => [spec(), part(Buffer.from('PK\x03\x04 a zip, perhaps'))],
      invalid('#/weights', /is a damaged zip archive/),
    ],
    ['no bytes', () => [spec(), part(Buffer.alloc(0))], invalid('#/weights', /is an empty file/)],
    [
      'a specification of another network',
      () => [spec({ ...tiny, classes: 6 }), part(file)],
      invalid('#/weights/head~1dense~1kernel', /must have shape \[4, 6\], got \[4, 5\]/),
    ],
    [
      'no weights',
      () => [spec()],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/weights', says: /is required/ },
    ],
    [
      'a specification that comes after its weights',
      () => [part(file), spec()],
      {
        status: 422,
        code: 'INVALID_REQUEST',
        pointer: '#/spec',
        says: /\(JSON\) once each, in any order, then "weights"/,
      },
    ],
    [
      'a second specification',
      () => [spec(), spec(), part(file)],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/spec', says: /once/ },
    ],
    [
      'two files of one name',
      () => [spec(), part(file), part(file)],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/weights', says: /is sent twice/ },
    ],
    [
      'an invalid name',
      () => [spec({ ...tiny, name: '..' }), part(file)],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/name' },
    ],
    [
      'a specification beyond the limit of bodies',
      () => [{ name: 'spec', value: ' '.repeat(10_001) }, part(file)],
      { status: 413, code: 'BODY_TOO_LARGE', says: /MAX_BODY_BYTES/ },
    ],
    [
      'a specification file above the limit of bodies',
      () => [{ name: 'spec', value: ' '.repeat(10_001), filename: 'spec.json' }, part(file)],
      { status: 413, code: 'BODY_TOO_LARGE', says: /MAX_BODY_BYTES/ },
    ],
    [
      'an unknown part',
      () => [spec(), part(file), { name: 'wieghts', value: 'x' }],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/wieghts' },
    ],
    [
      'a specification that is not JSON',
      () => [{ name: 'spec', value: '{' }, part(file)],
      { status: 400, code: 'MALFORMED_REQUEST', says: /spec/ },
    ],
    [
      'a specification that is wrong',
      () => [spec({ ...tiny, sed: 1 }), part(file)],
      { status: 422, code: 'INVALID_REQUEST', pointer: '#/sed', says: /did you mean "seed"/ },
    ],
    [
      'more bytes than any network has',
      () => [spec(), part(Buffer.alloc(60_000))],
      { status: 413, code: 'BODY_TOO_LARGE', says: /MAX_MODEL_PARAMETERS/ },
    ],
  ])('%s', async (_, parts, refusal) => {
    const before = await ids()
    expectProblem(await load(...parts()), refusal)
    expect(await ids()).toEqual(before)
    expect(await running.client.logits(drawn.id, shape, arithmeticImage(shape))).toEqual(logits)
    expect(running.service.engine.restarts).toBe(0)
  })
})
