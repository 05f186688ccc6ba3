import { deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { untilRead, whileHalted } from '../../support/halt.ts'
import { arithmeticImage, flowerJpeg, halfTransparentPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { binaryRequest, framed, imagesInput as images, inferenceOf } from '../../support/tensors.ts'

const SHAPE = [8, 8, 3] as const
const SIZE = 192
const INFER = '/v2/models/net/infer'
const MAX_BODY_BYTES = 200_000
const image = arithmeticImage(SHAPE)
const data = [...image]

let running: RunningService
beforeAll(async () => {
  running = await startService({
    MAX_QUEUE: '4',
    MAX_BATCH_SIZE: '4',
    MAX_BODY_BYTES: String(MAX_BODY_BYTES),
  })
  await running.client.create({
    ...tiny,
    preprocessing: 'torch',
    labels: ['a', 'b', 'c', 'd', 'e'],
    name: 'net',
  })
})
afterAll(() => running.close())

const infer = (json: object, path = INFER): Promise<Answer> => running.client.post(path, json)
const inferBinary = (json: object, ...tensors: Uint8Array[]): Promise<Answer> => {
  const { body, headers } = binaryRequest(json, ...tensors)
  return running.client.upload(INFER, body, undefined, headers)
}
const logitsOf = (answer: Answer) => inferenceOf(answer).floats['logits']

describe('inference', () => {
  it('returns all outputs by default, with the id of the request', async () => {
    const { json } = inferenceOf(await infer({ id: 'x', inputs: [images()], outputs: null }))
    expect(json).toMatchObject({ id: 'x', model_name: 'net', model_version: '1' })
    expect(json.outputs).toMatchObject([
      { name: 'probabilities', datatype: 'FP32', shape: [1, 5] },
      { name: 'logits', datatype: 'FP32', shape: [1, 5] },
    ])
    const [logits] = await running.client.logits('net', SHAPE, image)
    const answer = await infer({ inputs: [images()] })
    expect(logitsOf(answer)).toEqual(logits)
    expect(answer.headers['server-timing']).toMatch(
      /^decode;dur=[\d.]+, queue;dur=[\d.]+, compute;dur=[\d.]+$/,
    )
  })

  it.each(['torch', 'caffe', 'tf', 'unit', 'none'])(
    'gives float32 and uint8 pixels the same bits: %s',
    async (preprocessing) => {
      const { id } = await running.client.create({ ...tiny, preprocessing })
      const path = `/v2/models/${id}/versions/1/infer`
      const pixels = [...data.slice(0, 96), ...Array.from({ length: 96 }, (_, index) => (index * 8) % 256)]
      const asUint8 = logitsOf(await infer({ inputs: [images({ data: pixels })] }, path))
      expect(logitsOf(await infer({ inputs: [images({ data: pixels, datatype: 'FP32' })] }, path))).toEqual(
        asUint8,
      )
    },
  )

  it('reads float32 at any byte offset', async () => {
    const wanted = logitsOf(await infer({ inputs: [images()] }))
    const bytes = new Uint8Array(Float32Array.from(image).buffer)
    for (const id of ['', 'a', 'ab', 'abc']) {
      const input = images({ datatype: 'FP32', data: undefined, parameters: { binary_data_size: 4 * SIZE } })
      const answer = await inferBinary(
        { id, parameters: { binary_data_output: true }, inputs: [input] },
        bytes,
      )
      expect(answer.headers['content-type']).toBe('application/octet-stream')
      expect(logitsOf(answer)).toEqual(wanted)
    }
  })

  it('accepts nested data, and returns JSON and binary outputs, values and classes together', async () => {
    const rows = Array.from({ length: 8 }, (_, y) =>
      Array.from({ length: 8 }, (_, x) => data.slice((y * 8 + x) * 3, (y * 8 + x) * 3 + 3)),
    )
    const outputs = [
      { name: 'logits', parameters: { binary_data: true } },
      { name: 'probabilities', parameters: { classification: 9, binary_data: false } },
    ]
    const answer = await infer({
      inputs: [images({ data: [rows] })],
      outputs,
      parameters: { binary_data_output: true },
    })
    const { json } = inferenceOf(answer)
    expect(json.outputs.map(({ name, datatype, shape }) => [name, datatype, shape])).toEqual([
      ['logits', 'FP32', [1, 5]],
      ['probabilities', 'BYTES', [1, 5]],
    ])
    const { probabilities = [] } = inferenceOf(await infer({ inputs: [images()] })).floats
    expect(probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5)
    const order = [...probabilities.entries()].toSorted(([, a], [, b]) => b - a)
    expect(json.outputs[1]?.data).toEqual(
      order.map(([index, value]) => `${String(value)}:${String(index)}:${'abcde'[index] ?? ''}`),
    )
  })

  it('decodes encoded images with the requested fit', async () => {
    const shape = [2]
    const encoded = framed(flowerJpeg, halfTransparentPng)
    const input = {
      name: 'image_bytes',
      datatype: 'BYTES',
      shape,
      parameters: { binary_data_size: encoded.length },
    }
    for (const fit of ['cover', 'fill', 'contain']) {
      const answer = await inferBinary({ inputs: [input], parameters: { fit } }, encoded)
      const form = [flowerJpeg, halfTransparentPng].map((value) => ({ name: 'image', value, filename: 'x' }))
      const own = await running.client.form(`/v1/models/net/predict?include=logits&fit=${fit}`, form)
      const { predictions } = own.json as { predictions: { logits: number[] }[] }
      expect(logitsOf(answer)).toEqual(predictions.flatMap(({ logits }) => logits))
    }
  })

  it('accepts a body without JSON as one image, raw or encoded, with binary outputs', async () => {
    const headers = { 'inference-header-content-length': '0' }
    const wanted = logitsOf(await infer({ inputs: [images()] }))
    expect(logitsOf(await running.client.upload(INFER, Buffer.from(image), undefined, headers))).toEqual(
      wanted,
    )
    const encoded = await running.client.upload(INFER, flowerJpeg, 'text/plain', headers)
    expect(encoded.headers['inference-header-content-length']).toMatch(/^\d+$/)
    expect(
      inferenceOf(encoded).json.outputs.every(({ parameters }) => parameters?.binary_data_size === 20),
    ).toBe(true)
  })

  it.each([
    'application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'image/jpeg',
    'nonsense',
    undefined,
  ])('accepts a body of the type %s', async (type) => {
    const answer = await running.client.upload(INFER, JSON.stringify({ inputs: [images()] }), type)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
  })
})

describe('requests of other clients', () => {
  it('are JSON if the header length is the whole body', async () => {
    const body = JSON.stringify({ inputs: [images()] })
    const headers = { 'inference-header-content-length': String(body.length) }
    expect((await running.client.upload(INFER, body, 'application/json', headers)).status).toBe(200)
  })
})

describe('compression', () => {
  const request = Buffer.from(JSON.stringify({ inputs: [images()] }))
  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ] as const)('%s requests are accepted within the limit', async (encoding, compress) => {
    const headers = { 'content-encoding': encoding }
    const send = (body: Buffer) => running.client.upload(INFER, body, undefined, headers)
    expect((await send(compress(request))).status).toBe(200)
    expectForeignError(await send(compress(Buffer.alloc(MAX_BODY_BYTES + 1))), {
      status: 400,
      says: /MAX_BODY_BYTES/,
    })
    expectForeignError(await send(compress(Buffer.alloc(50_000_000))), {
      status: 400,
      says: /MAX_BODY_BYTES/,
    })
    expectForeignError(await send(request), { status: 400, says: new RegExp(`not ${encoding}`) })
    expectForeignError(await send(compress(request).subarray(0, 40)), {
      status: 400,
      says: new RegExp(`not ${encoding}`),
    })
  })

  it('of responses applies to inference only, by Accept-Encoding', async () => {
    const asked = async (path: string, accept: string | undefined, method: 'GET' | 'POST' = 'GET') => {
      const answer = await fetch(`${running.client.url}${path}`, {
        method,
        headers: { connection: 'close', 'accept-encoding': accept ?? 'identity' },
        ...(method === 'POST' ? { body: path === INFER ? request : '{}' } : {}),
      })
      await answer.arrayBuffer()
      return answer.headers.get('content-encoding')
    }
    expect(await asked(INFER, 'gzip, deflate, br', 'POST')).toBe('gzip')
    expect(await asked(INFER, 'gzip;q=0, deflate', 'POST')).toBe('deflate')
    expect(await asked(INFER, 'br', 'POST')).toBeNull()
    for (const path of [
      '/v2',
      '/v2/models/net',
      '/v2/models/net/config',
      '/v2/models/stats',
      '/v2/models/nobody',
    ])
      expect(await asked(path, 'gzip, deflate')).toBeNull()
    expect(await asked('/v2/repository/index', 'gzip', 'POST')).toBeNull()
  })
})

const binary = (size: number) => images({ data: undefined, parameters: { binary_data_size: size } })
const refused: Record<string, readonly [object, RegExp]> = {
  'no inputs': [{}, /#\/inputs must be an array/],
  'an empty list of inputs': [{ inputs: [] }, /exactly one of images and image_bytes/],
  'both inputs': [
    { inputs: [images(), { name: 'image_bytes', datatype: 'BYTES', shape: [1], data: ['aGk='] }] },
    /exactly one/,
  ],
  'an unknown input': [
    { inputs: [images({ name: 'image' })] },
    /unexpected inference input 'image'; send images/,
  ],
  'another datatype': [{ inputs: [images({ datatype: 'FP64' })] }, /UINT8 or FP32, got FP64/],
  'another shape': [
    { inputs: [images({ shape: [1, 3, 8, 8] })] },
    /expecting \[n, 8, 8, 3\], got \[1, 3, 8, 8\]/,
  ],
  'a shape without a batch': [{ inputs: [images({ shape: SHAPE })] }, /expecting \[n, 8, 8, 3\]/],
  'no images': [{ inputs: [images({ shape: [0, ...SHAPE], data: [] })] }, /expecting \[n, 8, 8, 3\]/],
  'a negative length': [
    { inputs: [images({ shape: [-1, ...SHAPE] })] },
    /'images' must be an array of integers/,
  ],
  'a length that is no integer': [{ inputs: [images({ shape: [1.5, ...SHAPE] })] }, /array of integers/],
  'a product beyond all integers': [
    { inputs: [images({ shape: [2 ** 52, 2 ** 52, 2 ** 52] })] },
    /unexpected shape/,
  ],
  'more than may wait': [
    { inputs: [images({ shape: [5, ...SHAPE], data: [] })] },
    /at most 4 images \(MAX_QUEUE\)/,
  ],
  'a pixel of 256': [
    { inputs: [images({ data: [256, ...data.slice(1)] })] },
    /integer from 0 to 255 at 0, got 256/,
  ],
  'a pixel of 1.5': [
    { inputs: [images({ data: [...data.slice(1), 1.5] })] },
    /from 0 to 255 at 191, got 1.5/,
  ],
  'a pixel of -1': [{ inputs: [images({ data: [-1, ...data.slice(1)] })] }, /'images' must hold an integer/],
  'a pixel that is a text': [{ inputs: [images({ data: ['1', ...data.slice(1)] })] }, /got "1"/],
  'a pixel that is true': [{ inputs: [images({ data: [true, ...data.slice(1)] })] }, /got true/],
  'a float32 pixel of 300': [
    { inputs: [images({ datatype: 'FP32', data: [300, ...data.slice(1)] })] },
    /from 0 to 255, before preprocessing; got 300 at 0/,
  ],
  'too few values': [{ inputs: [images({ data: data.slice(1) })] }, /192 values, flat or nested/],
  'values nested otherwise': [{ inputs: [images({ data: [[data]] })] }, /dimension 1/],
  'data that are no array': [{ inputs: [images({ data: 7 })] }, /got 7 in dimension 0/],
  'data deeper than its shape': [
    {
      inputs: [
        images({ data: [Array.from({ length: 8 }, () => Array.from({ length: 8 }, () => [[1], [2], [3]]))] }),
      ],
    },
    /got an array/,
  ],
  'no data': [{ inputs: [images({ data: undefined })] }, /#\/inputs\/0\/data is required/],
  'data and bytes': [{ inputs: [images({ parameters: { binary_data_size: 0 } })] }, /excludes/],
  'bytes that do not come': [
    { inputs: [binary(SIZE)] },
    /unexpected size for input 'images', expecting 192 additional/,
  ],
  'a size that is none': [{ inputs: [binary(-1)] }, /binary_data_size must be an integer of at least 0/],
  'a size beyond the shape': [
    { inputs: [binary(0)] },
    /must be 192, the size of its shape and datatype, got 0/,
  ],
  'encoded images under another datatype': [
    { inputs: [{ name: 'image_bytes', datatype: 'UINT8', shape: [1], data: ['aGk='] }] },
    /must be BYTES, got UINT8/,
  ],
  'encoded images of another shape': [
    { inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1, 2], data: ['aGk=', 'aGk='] }] },
    /expecting \[n\] or \[n, 1\]/,
  ],
  'a text that is not base64': [
    { inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: ['~'] }] },
    /string of base64/,
  ],
  'bytes that are no image': [
    { inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: ['aGk='] }] },
    /not a JPEG, PNG or WebP/,
  ],
  'an unknown output': [
    { inputs: [images()], outputs: [{ name: 'logit' }] },
    /unexpected inference output 'logit'/,
  ],
  'an output without a name': [{ inputs: [images()], outputs: [{}] }, /#\/outputs\/0\/name must be a string/],
  'outputs that are no list': [{ inputs: [images()], outputs: 'logits' }, /#\/outputs must be an array/],
  'a fraction of classes': [
    { inputs: [images()], outputs: [{ name: 'logits', parameters: { classification: 0.5 } }] },
    /classification must be an integer/,
  ],
  'a flag that is none': [{ inputs: [images()], parameters: { binary_data_output: 1 } }, /true or false/],
  'parameters that are none': [{ inputs: [images()], parameters: [] }, /#\/parameters must be an object/],
  'an id that is no text': [{ id: 7, inputs: [images()] }, /#\/id must be a string/],
  'a sequence': [
    { inputs: [images()], parameters: { sequence_id: 1 } },
    /sequence_id requires a stateful model/,
  ],
  'a timeout that is none': [
    { inputs: [images()], parameters: { timeout: 'soon' } },
    /timeout must be an integer/,
  ],
  'an unknown fit': [
    {
      inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: ['aGk='] }],
      parameters: { fit: 'x' },
    },
    /fit must be one of cover, fill, contain, exact/,
  ],
}

describe('rejected:', () => {
  it.each(Object.entries(refused))('%s', async (_, [json, says]) => {
    expectForeignError(await infer(json), { status: 400, says })
  })

  it.each([
    ['', /failed to parse the request JSON/],
    ['[]', /# must be an object/],
    ['{"inputs": [', /failed to parse/],
    [`{"inputs": ${'['.repeat(50_000)}`, /failed to parse/],
  ])('the body %#', async (body, says) => {
    expectForeignError(await running.client.upload(INFER, body), { status: 400, says })
  })

  it('trailing bytes, and wrong lengths within BYTES', async () => {
    expectForeignError(await inferBinary({ inputs: [binary(SIZE)] }, image, image), {
      ...{ status: 400, says: /unexpected additional input data for model: 192 bytes/ },
    })
    for (const [bytes, says] of [
      [Buffer.from([1, 0]), /ends within a length/],
      [Buffer.from([255, 255, 255, 255, 7]), /ends within an element/],
      [framed(flowerJpeg, flowerJpeg), /more elements/],
      [Buffer.alloc(0), /fewer elements/],
    ] as const) {
      const parameters = { binary_data_size: bytes.length }
      const input = { name: 'image_bytes', datatype: 'BYTES', shape: [1], parameters }
      expectForeignError(await inferBinary({ inputs: [input] }, bytes), { status: 400, says })
    }
  })

  it.each(['-1', '1e1', '99999', '9'.repeat(40), '0x10', ' '])('a header length of %j', async (length) => {
    const headers = { 'inference-header-content-length': length }
    const answer = await running.client.upload(
      INFER,
      JSON.stringify({ inputs: [images()] }),
      undefined,
      headers,
    )
    expectForeignError(answer, { status: 400 })
  })

  it('unknown paths, methods, models and versions, and bodies that are too large', async () => {
    expectForeignError(await infer({}, '/v2/models/nobody/infer'), { status: 404, says: /nobody/ })
    expectForeignError(await infer({ inputs: [images()] }, '/v2/models/net/versions/2/infer'), {
      ...{ status: 404, says: /Request for unknown model: 'net' version 2/ },
    })
    expectForeignError(await running.client.get(INFER), { status: 405, says: /POST/ })
    expectForeignError(await running.client.get('/v2/trace/setting'), { status: 404 })
    const large = Buffer.alloc(MAX_BODY_BYTES + 1)
    expectForeignError(await running.client.upload(INFER, large), { status: 400, says: /MAX_BODY_BYTES/ })
  })

  it('a full queue, with Retry-After, and an expired timeout parameter', async () => {
    const { client, service } = running
    const request = { inputs: [images({ shape: [4, ...SHAPE], data: [data, data, data, data].flat() })] }
    const { waiting, full, late } = await whileHalted(service.engine.pid, async () => {
      const late = await infer({ inputs: [images()], parameters: { timeout: 1000 } })
      const waiting = infer(request)
      await untilRead(client)
      const answers = await Promise.all([1, 2, 3].map(() => infer(request)))
      return { waiting, late, full: answers }
    })
    expectForeignError(late, { status: 503, says: /Request timeout expired/ })
    for (const answer of full) {
      expectForeignError(answer, { status: 429, says: /try again in \d+ s/ })
      expect(answer.headers['retry-after']).toMatch(/^\d+$/)
    }
    expect((await waiting).status).toBe(200)
  })

  it('non-finite values in JSON; binary data can represent them', async () => {
    const kernel = { class_name: 'Constant', config: { value: 1e30 } }
    const { architecture } = tiny
    const { id } = await running.client.create({
      ...{ ...tiny, architecture: { ...architecture, norm: 'none' }, initializers: { kernel } },
    })
    const path = `/v2/models/${id}/infer`
    expectForeignError(await infer({ inputs: [images()] }, path), {
      status: 400,
      says: /request it as binary data/,
    })
    const logits =
      logitsOf(await infer({ inputs: [images()], parameters: { binary_data_output: true } }, path)) ?? []
    expect(logits.some((value) => !Number.isFinite(value))).toBe(true)
  })
})

describe('the repository', () => {
  const index = async (body?: object) =>
    (await running.client.upload('/v2/repository/index', body ? JSON.stringify(body) : '')).json as {
      name: string
      state: string
      reason: string
    }[]
  const act = (what: string, body = '') => running.client.upload(`/v2/repository/models/net/${what}`, body)
  const stateOfNet = async () => (await index()).find(({ name }) => name === 'net')

  it('loads and unloads, and an inference loads again', async () => {
    const resident = async () =>
      Number(
        /^resinit_resident_models (\d+)$/m.exec((await running.client.get('/metrics')).bytes.toString())?.[1],
      )
    const held = await resident()
    expect(await stateOfNet()).toMatchObject({ version: '1', state: 'READY', reason: '' })
    const unloaded = await act('unload', '{"parameters":{"unload_dependents":false}}')
    expect([unloaded.status, unloaded.bytes.length]).toEqual([200, 0])
    expect(await stateOfNet()).toMatchObject({
      state: 'UNAVAILABLE',
      reason: expect.stringMatching(/builds it again/) as string,
    })
    expect((await index({ ready: true })).map(({ name }) => name)).not.toContain('net')
    expectForeignError(await running.client.get('/v2/models/net/ready'), { status: 503, says: /not ready/ })
    expect(await resident()).toBe(held - 1)
    expect((await infer({ inputs: [images()] })).status).toBe(200)
    expect((await running.client.get('/v2/models/net/versions/1/ready')).json).toEqual({
      name: 'net',
      ready: true,
    })
    await act('unload')
    expect((await act('load', '{}')).status).toBe(200)
    expect(await stateOfNet()).toMatchObject({ state: 'READY' })
    expect(await resident()).toBe(held)
  })

  it('unloads under load without a lost response', async () => {
    const wanted = logitsOf(await infer({ inputs: [images()] }))?.length
    const answers: Promise<Answer>[] = []
    // As many requests as the queue holds.
    for (let round = 0; round < 4; round++) {
      answers.push(infer({ inputs: [images()] }))
      expect((await act('unload')).status).toBe(200)
    }
    for (const answer of await Promise.all(answers)) expect(logitsOf(answer)).toHaveLength(wanted ?? NaN)
  })

  it('rejects unsupported operations', async () => {
    for (const name of ['config', 'file:1/model.savedmodel'])
      expectForeignError(await act('load', JSON.stringify({ parameters: { [name]: 'x' } })), {
        ...{ status: 400, says: /cannot be overridden: a model is immutable/ },
      })
    expectForeignError(await act('load', 'x'), { status: 400, says: /parse/ })
    expectForeignError(await running.client.upload('/v2/repository/index', '{"ready":1}'), { status: 400 })
    expectForeignError(await running.client.upload('/v2/repository/models/nobody/unload', ''), {
      status: 404,
    })
  })

  it('lists a model under each of its names, or under its id if it has none', async () => {
    const { id } = await running.client.create({ ...tiny, seed: 77 })
    const names = async () => ((await running.client.get('/v2/models')).json as { models: string[] }).models
    expect(await names()).toContain(id)
    await running.client.put('/v1/models/one', { id })
    await running.client.put('/v1/models/two', { id })
    expect(await names()).toEqual(expect.arrayContaining(['one', 'two']))
    expect(await names()).not.toContain(id)
  })
})

describe('metadata', () => {
  it('describes inputs and outputs', async () => {
    const { client } = running
    expect((await client.get('/v2')).json).toMatchObject({
      name: 'resinit',
      extensions: [
        'binary_tensor_data',
        'classification',
        'model_repository',
        'model_configuration',
        'statistics',
      ],
    })
    expect((await client.get('/v2/models/net/versions/1')).json).toMatchObject({
      ...{ name: 'net', versions: ['1'] },
      inputs: [
        { name: 'images', datatype: 'UINT8', shape: [-1, 8, 8, 3] },
        { name: 'image_bytes', datatype: 'BYTES', shape: [-1] },
      ],
    })
    expect((await client.get('/v2/models/n%65t/config')).json).toMatchObject({
      ...{ name: 'net', max_batch_size: 0, parameters: { MAX_BATCH_SIZE: { string_value: '4' } } },
      input: [
        { name: 'images', data_type: 'TYPE_UINT8', dims: [-1, 8, 8, 3], optional: false },
        { name: 'image_bytes', data_type: 'TYPE_STRING', dims: [-1], optional: true },
      ],
    })
  })
})

interface Statistics {
  readonly inference_count: number
  readonly execution_count: number
  readonly last_inference: number
  readonly inference_stats: Readonly<Record<string, { readonly count: number; readonly ns: number }>>
  readonly batch_stats: readonly {
    readonly batch_size: number
    readonly compute_infer: { readonly count: number }
  }[]
}

describe('statistics', () => {
  it('count successes and failures of all protocols', async () => {
    const { id } = await running.client.create({ ...tiny, seed: 99, name: 'counted' })
    const path = '/v2/models/counted/infer'
    const read = async () =>
      ((await running.client.get('/v2/models/counted/stats')).json as { model_stats: [Statistics] })
        .model_stats[0]
    expect(await read()).toMatchObject({ inference_count: 0, execution_count: 0, last_inference: 0 })
    await infer({ inputs: [images({ shape: [3, ...SHAPE], data: [data, data, data].flat() })] }, path)
    await running.client.logits(id, SHAPE, image)
    await infer({ inputs: [] }, path)
    await vi.waitUntil(async () => (await read()).inference_stats['fail']?.count === 1)
    const { inference_count, execution_count, last_inference, inference_stats, batch_stats } = await read()
    expect([inference_count, execution_count]).toEqual([4, 2])
    expect(last_inference).toBeGreaterThan(1.6e12)
    for (const step of ['success', 'queue', 'compute_input', 'compute_infer', 'compute_output'])
      expect(inference_stats[step]?.count).toBe(2)
    for (const { ns } of Object.values(inference_stats)) expect(ns).toSatisfy(Number.isSafeInteger)
    expect(batch_stats.map(({ batch_size, compute_infer }) => [batch_size, compute_infer.count])).toEqual([
      [1, 1],
      [3, 1],
    ])
    const all = (await running.client.get('/v2/models/stats')).json as { model_stats: { name: string }[] }
    expect(all.model_stats.map(({ name }) => name)).toEqual(expect.arrayContaining(['net', 'counted']))
  })
})
