import fc from 'fast-check'
import { deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, PredictionsBody } from '../../support/client.ts'
import { whileHalted } from '../../support/halt.ts'
import { arithmeticImage, flowerJpeg, halfTransparentPng } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

const SHAPE = [8, 8, 3] as const
const PREDICT = '/v1/models/net:predict'
const image = arithmeticImage(SHAPE)
const nested = nest([...image])

let running: RunningService
beforeAll(async () => {
  running = await startService({ MAX_QUEUE: '4', MAX_BODY_BYTES: '200000' })
  await running.client.create({ ...tiny, preprocessing: 'torch', name: 'net' })
})
afterAll(() => running.close())

/** Flat values as [height, width, channels] lists. */
function nest(flat: number[]): number[][][] {
  const [height, width, channels] = SHAPE
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (__, x) => {
      const at = (y * width + x) * channels
      return flat.slice(at, at + channels)
    }),
  )
}

interface Row {
  readonly logits: number[]
  readonly probabilities: number[]
}
const predict = (json: object, path = PREDICT): Promise<Answer> => running.client.post(path, json)
const rowsOf = (answer: Answer): Row[] => {
  expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
  return (answer.json as { predictions: Row[] }).predictions
}
const columnsOf = (answer: Answer) => {
  expect(answer.status).toBe(200)
  return (answer.json as { outputs: { logits: number[][]; probabilities: number[][] } }).outputs
}
const b64 = (bytes: Buffer) => ({ b64: bytes.toString('base64') })
/** The same batch size as on the other routes: other sizes change the last bits. */
const ours = async (...images: Buffer[]) => {
  const parts = images.map((value) => ({ name: 'image', value, filename: 'image' }))
  const path = '/v1/models/net/predict?include=logits,probabilities'
  return ((await running.client.form(path, parts)).json as PredictionsBody).predictions
}

describe('predict', () => {
  it('accepts images by row and by column, named or not, and answers in the same form', async () => {
    const [logits = []] = await running.client.logits('net', SHAPE, image)
    for (const instances of [[nested], [{ images: nested }]])
      expect(rowsOf(await predict({ instances })).map((row) => row.logits)).toEqual([logits])
    const pair = await running.client.logits('net', [2, ...SHAPE], Uint8Array.from([...image, ...image]))
    for (const inputs of [[nested, nested], { images: [nested, nested] }])
      expect(columnsOf(await predict({ inputs })).logits).toEqual(pair)
  })

  it.each(['torch', 'caffe', 'tf', 'unit', 'none'])(
    '%s: integers and fractions get the same preprocessing',
    async (preprocessing) => {
      await running.client.create({ ...tiny, preprocessing, name: preprocessing })
      const path = `/v1/models/${preprocessing}:predict`
      const whole = rowsOf(await predict({ instances: [nested] }, path))[0]?.logits ?? []
      const nearly = nest([...image].map((value) => Math.min(255, value + 2 ** -18)))
      const broken = rowsOf(await predict({ instances: [nearly] }, path))[0]?.logits ?? []
      const largest = Math.max(...whole.map(Math.abs))
      for (const [index, logit] of broken.entries())
        expect(Math.abs(logit - (whole[index] ?? NaN)) / largest).toBeLessThan(1e-4)
    },
  )

  it('accepts encoded images in every form, with the logits of the native route', async () => {
    const [expected, other] = await ours(flowerJpeg, halfTransparentPng)
    const [alone] = await ours(flowerJpeg)
    const forms = [
      { instances: [b64(flowerJpeg), b64(halfTransparentPng)] },
      { instances: [{ image_bytes: b64(flowerJpeg) }, { image_bytes: b64(halfTransparentPng) }] },
      { signature_name: '', instances: [b64(flowerJpeg), b64(halfTransparentPng)] },
      { signature_name: 'serving_default', instances: [b64(flowerJpeg), b64(halfTransparentPng)] },
      { signature_name: 'image_bytes', instances: [b64(flowerJpeg), b64(halfTransparentPng)] },
    ]
    for (const form of forms) {
      const rows = rowsOf(await predict(form))
      expect(rows.map(({ logits }) => logits)).toEqual([expected?.logits, other?.logits])
      expect(rows.map(({ probabilities }) => probabilities)).toEqual([
        expected?.probabilities,
        other?.probabilities,
      ])
    }
    for (const inputs of [b64(flowerJpeg), [b64(flowerJpeg)], { image_bytes: [b64(flowerJpeg)] }])
      expect(columnsOf(await predict({ inputs })).logits).toEqual([alone?.logits])
  })

  it.each([undefined, 'application/json', 'application/x-www-form-urlencoded', 'text/plain', 'image/png'])(
    'ignores the Content-Type: %s',
    async (type) => {
      const body = JSON.stringify({ instances: [nested] })
      expect(rowsOf(await running.client.upload(PREDICT, body, type))).toHaveLength(1)
    },
  )

  it('names its only version, or none', async () => {
    for (const version of ['1', '01'])
      expect(
        rowsOf(await predict({ instances: [nested] }, `/v1/models/net/versions/${version}:predict`)),
      ).toHaveLength(1)
  })

  it('writes NaN and infinities as TensorFlow Serving does', async () => {
    const kernel = { class_name: 'Constant', config: { value: 1e30 } }
    await running.client.create({ ...tiny, initializers: { kernel }, name: 'exploding' })
    // The test client accepts strict JSON only.
    const { statusCode, body } = await running.service.app.inject({
      ...{ method: 'POST', url: '/v1/models/exploding:predict', payload: { instances: [nested] } },
    })
    expect(statusCode).toBe(200)
    expect(body).toMatch(/NaN|Infinity/)
  })
})

describe('errors', () => {
  const row = (value: unknown) => ({ instances: [value] })
  it.each<[string, object | string, number, RegExp]>([
    ['no JSON', '{"instances": [', 400, /^JSON Parse error/],
    ['an empty body', '', 400, /^JSON Parse error/],
    ['a list', '[]', 400, /instances/],
    ['neither form', {}, 400, /either "instances" .* or "inputs"/],
    ['both forms', { instances: [nested], inputs: [nested] }, 400, /either "instances" .* or "inputs"/],
    [
      'another signature',
      { signature_name: 'x', instances: [nested] },
      400,
      /Serving signature name: "x" not found/,
    ],
    [
      'a signature without that input',
      { signature_name: 'image_bytes', instances: [nested] },
      400,
      /no input images/,
    ],
    ['no instance', { instances: [] }, 400, /at least one/],
    ['no image', { inputs: [] }, 400, /at least one/],
    ['another input', row({ x: nested }), 400, /Missing named input/],
    ['two inputs', row({ images: nested, image_bytes: b64(flowerJpeg) }), 400, /exactly one/],
    ['rows of two kinds', { instances: [nested, b64(flowerJpeg)] }, 400, /keys must be equal to: images/],
    ['a scalar', row(1), 400, /#\/instances\/0 Missing named input/],
    ['a pixel above 255', row(nest([...image].fill(256))), 400, /from 0 to 255, got 256/],
    ['a pixel below 0', row(nest([...image].fill(-1))), 400, /from 0 to 255, got -1/],
    ['a word', row([[['a']]]), 400, /images are \[8, 8, 3\]/],
    ['ragged lists', row(nested.map((line, y) => (y === 3 ? line.slice(1) : line))), 400, /list of 8/],
    ['a flat list', row([...image]), 400, /list of 8.*got a list of 192/],
    ['no base64', row({ b64: '%' }), 400, /base64/],
    ['base64 of no image', row(b64(Buffer.from('no image'))), 400, /#\/instances\/0 is not a JPEG/],
    ['more than the queue holds', { instances: Array.from({ length: 5 }, () => nested) }, 400, /at most 4/],
    ['a body too large', `{"instances": [${' '.repeat(200_000)}]}`, 400, /MAX_BODY_BYTES/],
  ])('%s', async (_, body, status, says) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    expectForeignError(await running.client.upload(PREDICT, text), { status, says })
  })

  it.each<[string, string, number, RegExp]>([
    ['/v1/models/unknown:predict', 'post', 404, /unknown/],
    ['/v1/models/net/versions/2:predict', 'post', 404, /Servable not found for request: Specific\(net, 2\)/],
    ['/v1/models/net/labels/stable:predict', 'post', 400, /^Unrecognized servable version label: stable/],
    ['/v1/models/net/labels/stable/metadata', 'get', 400, /^Unrecognized servable version label: stable/],
    ['/v1/models/net/labels/stable', 'get', 400, /^Unrecognized servable version label: stable/],
    ['/v1/models/net:PREDICT', 'post', 400, /Malformed request: POST \/v1\/models\/net:PREDICT/],
    ['/v1/models/net:Classify', 'post', 400, /Malformed request: POST/],
    ['/v1/models/net:classify', 'post', 400, /Expected classify signature/],
    ['/v1/models/net:regress', 'post', 400, /Expected regress signature/],
    ['/v1/models/net:explain', 'post', 400, /Malformed request: POST/],
    ['/v1/models/net:', 'post', 400, /Malformed request: POST/],
    ['/v1/models/net/versions/2', 'get', 404, /Specific\(net, 2\)/],
    ['/v1/models/unknown/metadata', 'get', 404, /unknown/],
    ['/v1/models/net/versions/2/metadata', 'get', 404, /Specific\(net, 2\)/],
    ['/v1/models/net:predict', 'get', 400, /Malformed request: GET/],
  ])('%s by %s', async (path, method, status, says) => {
    const answer =
      method === 'get' ? await running.client.get(path) : await predict({ instances: [nested] }, path)
    expectForeignError(answer, { status, says })
  })

  it('no body crashes the service', async () => {
    const wild = fc.oneof(
      fc.json(),
      fc.record({ instances: fc.jsonValue() }).map((body) => JSON.stringify(body)),
      fc
        .record({ signature_name: fc.jsonValue(), instances: fc.jsonValue() })
        .map((body) => JSON.stringify(body)),
      fc.record({ inputs: fc.jsonValue() }).map((body) => JSON.stringify(body)),
      fc.string(),
    )
    await fc.assert(
      fc.asyncProperty(wild, async (body) => {
        expectForeignError(await running.client.upload(PREDICT, body), { status: 400 })
      }),
      { numRuns: 200, seed: 8 },
    )
    expect(rowsOf(await predict({ instances: [nested] }))).toHaveLength(1)
  })
})

describe('like every prediction', () => {
  const body = JSON.stringify({ instances: [nested] })
  const ask = (client = running.client) => client.upload(PREDICT, body)

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
  ])('it is accepted compressed with %s', async (encoding, compress) => {
    const encoded = { 'content-encoding': encoding }
    expect(await running.client.upload(PREDICT, compress(body), undefined, encoded)).toMatchObject({
      bytes: (await ask()).bytes,
    })
    // Bodies that decode to more than the limit, or do not match their encoding.
    for (const [bytes, says] of [
      [compress(Buffer.alloc(10_000_000)), /MAX_BODY_BYTES/],
      [Buffer.from(body), /the body is not (gzip|deflate)/],
    ] as const)
      expectForeignError(await running.client.upload(PREDICT, bytes, undefined, encoded), {
        ...{ status: 400, says },
      })
  })

  it('it is counted, successful or not', async () => {
    interface Counts {
      readonly inference_count: number
      readonly inference_stats: { readonly success: { count: number }; readonly fail: { count: number } }
    }
    const counts = async () => {
      const { json } = await running.client.get('/v2/models/net/stats')
      const [{ inference_count, inference_stats }] = (json as { model_stats: [Counts] }).model_stats
      return [inference_count, inference_stats.success.count, inference_stats.fail.count] as const
    }
    const [images, successes, failures] = await counts()
    rowsOf(await predict({ instances: [nested, nested, nested] }))
    expectForeignError(await predict({ instances: [] }), { status: 400 })
    await expect.poll(counts).toEqual([images + 3, successes + 1, failures + 1])
  })

  it('it has Server-Timing', async () => {
    const timing = /^decode;dur=[\d.]+, queue;dur=[\d.]+, compute;dur=[\d.]+$/
    expect((await ask()).headers['server-timing']).toMatch(timing)
  })

  it('it is rejected for a full queue or a deadline, with Retry-After', async () => {
    const strict = await startService({ MAX_QUEUE: '2', MAX_BATCH_SIZE: '1', REQUEST_TIMEOUT_MS: '3000' })
    try {
      const { client, service } = strict
      await client.create({ ...tiny, name: 'net' })
      const answers = await whileHalted(service.engine.pid, () =>
        Promise.all(Array.from({ length: 6 }, () => ask(client))),
      )
      const late = answers.filter(({ status }) => status === 504)
      const refused = answers.filter(({ status }) => status === 429)
      expect([late.length > 0, refused.length > 0, late.length + refused.length]).toEqual([true, true, 6])
      for (const answer of late) expectForeignError(answer, { status: 504, says: /REQUEST_TIMEOUT_MS/ })
      for (const answer of refused) {
        expectForeignError(answer, { status: 429, says: /try again in \d+ s/ })
        expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/)
      }
      expect((await ask(client)).status).toBe(200)
    } finally {
      await strict.close()
    }
  })

  it('it requires the key', async () => {
    const locked = await startService({ HOST: '0.0.0.0' })
    try {
      const { client, service } = locked
      const key = { authorization: `Bearer ${service.key ?? ''}` }
      expect((await client.post('/v1/models', { ...tiny, name: 'net' }, key)).status).toBe(201)
      const says = /Authorization: Bearer/
      for (const headers of [{}, { authorization: 'Bearer wrong' }])
        expectForeignError(await client.upload(PREDICT, body, undefined, headers), { status: 401, says })
      expect((await client.upload(PREDICT, body, undefined, key)).status).toBe(200)
    } finally {
      await locked.close()
    }
  })
})

describe('model metadata', () => {
  it('its signatures', async () => {
    for (const path of ['/v1/models/net/metadata', '/v1/models/net/versions/1/metadata']) {
      const { json } = await running.client.get(path)
      expect(json).toMatchObject({
        model_spec: { name: 'net', signature_name: '', version: '1' },
        metadata: {
          signature_def: {
            signature_def: {
              serving_default: {
                inputs: {
                  images: {
                    dtype: 'DT_FLOAT',
                    tensor_shape: { dim: [{ size: '-1' }, { size: '8' }, {}, {}] },
                  },
                },
                outputs: {
                  logits: {},
                  probabilities: { tensor_shape: { dim: [{ size: '-1' }, { size: '5' }] } },
                },
                method_name: 'tensorflow/serving/predict',
              },
            },
          },
        },
      })
    }
  })

  it('the state of its version', async () => {
    const available = [{ version: '1', state: 'AVAILABLE', status: { error_code: 'OK', error_message: '' } }]
    for (const path of ['/v1/models/net', '/v1/models/net/versions/1'])
      expect((await running.client.get(path)).json).toMatchObject({ model_version_status: available })
  })
})
