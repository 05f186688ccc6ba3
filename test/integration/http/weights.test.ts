import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { valuesOf } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { parseSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
let model: ModelBody
let whole: Buffer
const path = '/v1/models/net/weights'
beforeAll(async () => {
  running = await startService()
  model = await running.client.create({ ...tiny, name: 'net' })
  whole = (await running.client.get(path)).bytes
})
afterAll(() => running.close())

const bytesOf = async (query: string): Promise<Buffer> => (await running.client.get(`${path}${query}`)).bytes

describe('the weights as safetensors', () => {
  it('hold every parameter in order, match weights_sha256, and name their origin', async () => {
    const { metadata, tensors } = parseSafetensors(whole)
    const { weights_sha256 } = await running.client.withDigest(model.id)
    const { parameters } = (await running.client.get('/v1/models/net/statistics')).json as {
      parameters: { name: string; shape: number[] }[]
    }
    const hash = createHash('sha256')
    for (const { name, shape } of parameters) {
      const tensor = tensors.get(name)
      expect(tensor?.shape).toEqual(shape)
      hash.update(tensor?.bytes ?? '')
    }
    expect(hash.digest('hex')).toBe(weights_sha256)
    expect(metadata).toMatchObject({
      format: 'pt',
      'resinit.id': model.id,
      'resinit.weights_sha256': weights_sha256,
    })
    expect(JSON.parse(metadata['resinit.spec'] ?? '')).toEqual(model.spec)
    const buffers = [...tensors.keys()].filter(
      (name) => !parameters.some((parameter) => parameter.name === name),
    )
    expect(buffers.every((name) => /moving_(mean|variance)$/.test(name))).toBe(true)
    expect(buffers.length).toBeGreaterThan(0)
  })

  it('are selected by a glob', async () => {
    const { tensors } = parseSafetensors(await bytesOf('?parameters=stage1/**/kernel'))
    expect([...tensors.keys()]).toEqual(['stage1/block1/conv1/kernel', 'stage1/block1/conv2/kernel'])
    const answer = await running.client.get(`${path}?parameters=stage9/**`)
    expectProblem(answer, {
      status: 422,
      code: 'INVALID_REQUEST',
      pointer: '#/parameters',
      says: /matches no parameter/,
    })
  })

  it('as npy are one tensor', async () => {
    const accept = { accept: 'application/x-npy' }
    const answer = await running.client.get(`${path}?parameters=head/dense/kernel`, accept)
    expect(answer.headers['content-type']).toBe('application/x-npy')
    expect(answer.bytes.subarray(10, 70).toString()).toMatch(
      /'<f4', 'fortran_order': False, 'shape': \(4, 5\)/,
    )
    const wanted = parseSafetensors(whole).tensors.get('head/dense/kernel')?.bytes
    expect(Buffer.from(valuesOf(answer.bytes).buffer)).toEqual(wanted)
    expectProblem(await running.client.get(path, accept), {
      status: 422,
      code: 'INVALID_REQUEST',
      pointer: '#/parameters',
      says: /must match one tensor/,
    })
  })
})

describe('ranges', () => {
  const length = (): number => whole.length
  it.each<readonly [string, (n: number) => readonly [number, number]]>([
    ['bytes=0-7', () => [0, 8]],
    ['bytes=0-0', () => [0, 1]],
    ['bytes=100-', (n) => [100, n]],
    ['bytes=-33', (n) => [n - 33, n]],
    ['bytes=-999999999', (n) => [0, n]],
    ['bytes=1001-999999999', (n) => [1001, n]],
    ['bytes=1003-2006', () => [1003, 2007]],
  ])('%s', async (range, limits) => {
    const [start, end] = limits(length())
    const answer = await running.client.get(path, { range })
    expect(answer.status).toBe(206)
    expect(answer.headers['content-range']).toBe(
      `bytes ${String(start)}-${String(end - 1)}/${String(length())}`,
    )
    expect(answer.headers['content-length']).toBe(String(end - start))
    expect(answer.bytes.equals(whole.subarray(start, end))).toBe(true)
  })

  it.each(['bytes=999999999-', 'bytes=-0'])('%s is not satisfiable', async (range) => {
    const answer = await running.client.get(path, { range })
    expectProblem(answer, { status: 416, code: 'RANGE_NOT_SATISFIABLE', says: new RegExp(String(length())) })
    expect(answer.headers['content-range']).toBe(`bytes */${String(length())}`)
  })

  it.each(['bytes=5-2', 'bytes=0-1,4-5', 'lines=0-1', 'bytes=a-b'])('%s returns the whole', async (range) => {
    const answer = await running.client.get(path, { range })
    expect([answer.status, answer.bytes.equals(whole)]).toEqual([200, true])
  })
})

describe('the ETag', () => {
  it('gives 304 for a matching If-None-Match', async () => {
    const etag = (await running.client.get(path)).headers['etag'] ?? ''
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/)
    for (const given of [etag, `"other", ${etag}`, `W/${etag}`, `"a",W/${etag}, "b"`, '*']) {
      const answer = await running.client.get(path, { 'if-none-match': given })
      expect([answer.status, answer.bytes.length, answer.headers['etag']]).toEqual([304, 0, etag])
    }
    for (const given of ['"other"', `x${etag}`, `${etag}x`, etag.slice(1, -1)])
      expect((await running.client.get(path, { 'if-none-match': given })).status).toBe(200)
    const part = await running.client.get(path, { range: 'bytes=0-7', 'if-range': etag })
    expect(part.status).toBe(206)
    expect((await running.client.get(path, { range: 'bytes=0-7', 'if-range': '"other"' })).status).toBe(200)
  })

  it('differs by selection, format and model', async () => {
    await running.client.create({ ...tiny, seed: 1, name: 'other' })
    const query = `?parameters=head/dense/kernel`
    const answers = await Promise.all([
      running.client.get(path),
      running.client.get(`${path}${query}`),
      running.client.get(`${path}${query}`, { accept: 'application/x-npy' }),
      running.client.get('/v1/models/other/weights'),
    ])
    expect(new Set(answers.map(({ headers }) => headers['etag'])).size).toBe(4)
  })
})
