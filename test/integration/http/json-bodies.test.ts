import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { flowerJpeg } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError, expectProblem } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** JSON of more bytes is parsed in parts. */
const LARGE_BYTES = 300_000
const BOM = '\uFEFF'
const JSON_TYPE = { 'content-type': 'application/json' }

let running: RunningService
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())

const send = (path: string, body: string, method: 'post' | 'put' = 'post'): Promise<Answer> =>
  running.client.send(method, path, JSON_TYPE, body)

const pixels = Array.from({ length: 8 }, (_, y) =>
  Array.from({ length: 8 }, (_, x) => [y, x, 9].map((value) => value / 4)),
)
const b64 = flowerJpeg.toString('base64')
const specification = JSON.stringify({
  ...tiny,
  initializers: { kernel: { class_name: 'Constant', config: { value: 0.5 } } },
})
const inference = (data: readonly number[], shape = [1, 8, 8, 3]): string =>
  JSON.stringify({ inputs: [{ name: 'images', datatype: 'FP32', shape, data }] })

/** A valid body of each kind of route. */
const bodies: Record<string, readonly [path: string, body: string, method?: 'put']> = {
  'a plan': ['/v1/plans', specification],
  'a model': ['/v1/models', specification],
  'a name of a model': ['/v1/models/named', specification, 'put'],
  'a prediction': ['/v1/models/net/predict', JSON.stringify({ instances: [{ b64 }] })],
  'statistics of an initializer': ['/v1/initializers/he_normal/statistics', '{"shape":[3,3,4,4]}'],
  'a sample': ['/v1/initializers/he_normal/sample', '{"shape":[2,2]}'],
  'Open Inference': ['/v2/models/net/infer', inference(pixels.flat(2))],
  'TensorFlow Serving by row': ['/v1/models/net:predict', JSON.stringify({ instances: [pixels] })],
  'TensorFlow Serving by column': [
    '/v1/models/net:predict',
    JSON.stringify({ inputs: { images: [pixels] } }),
  ],
  'TensorFlow Serving with base64': ['/v1/models/net:predict', JSON.stringify({ instances: [{ b64 }] })],
}

/** An answer without its times and digests that follow later. */
function comparable({ status, bytes }: Answer): unknown {
  const volatile = ['timing_ms', 'created_at', 'build_ms', 'weights_sha256', 'names', 'last_used_at']
  const body: unknown = JSON.parse(bytes.toString(), (name, value: unknown) =>
    volatile.includes(name) ? undefined : value,
  )
  return { status, body }
}

/** White space makes a body so large that it is parsed in parts. */
function enlarge(body: string): string {
  return `${' '.repeat(LARGE_BYTES)}${body}`
}

describe('a byte order mark changes no answer:', () => {
  it.each(Object.entries(bodies))('%s', async (_, [path, body, method]) => {
    // The first creates what the others find.
    await send(path, body, method)
    const expected = comparable(await send(path, body, method))
    expect(expected).toMatchObject({ status: 200 })
    for (const marked of [BOM + body, BOM + enlarge(body)])
      expect(comparable(await send(path, marked, method))).toEqual(expected)
  })

  it.each(Object.entries(bodies))('%s: a second mark is refused', async (_, [path, body, method]) => {
    for (const marked of [BOM + BOM + body, BOM + BOM + enlarge(body)])
      expect((await send(path, marked, method)).status).toBe(400)
  })

  it('large values, parsed in parts', async () => {
    const instances = Array.from({ length: 30 }, () => ({ b64 }))
    const predicted = JSON.stringify({ instances })
    const images = Array.from({ length: 120 }, () => pixels)
    const flat = images.flat(3)
    const labels = Array.from({ length: 5 }, (_, index) => String(index).repeat(60_000))
    const large: readonly (readonly [string, string])[] = [
      ['/v1/models/net/predict', predicted],
      ['/v1/models/net:predict', predicted],
      ['/v1/models/net:predict', JSON.stringify({ instances: images })],
      ['/v2/models/net/infer', inference(flat, [images.length, 8, 8, 3])],
      ['/v1/plans', JSON.stringify({ ...tiny, labels })],
    ]
    for (const [path, text] of large) {
      const body = text.padEnd(LARGE_BYTES)
      const expected = comparable(await send(path, body))
      expect(comparable(await send(path, BOM + body))).toEqual(expected)
    }
  })
})

describe('1e400 is refused, and the message shows Infinity:', () => {
  const image = JSON.stringify([pixels]).replace('0,0,2.25', '0,1e400,2.25')
  const problems: readonly (readonly [path: string, body: string, pointer: string])[] = [
    ['/v1/plans', specification.replace('0.5', '1e400'), '#/initializers/kernel/config/value'],
    ['/v1/models', specification.replace('0.5', '-1e400'), '#/initializers/kernel/config/value'],
    ['/v1/plans', '{"architecture":"resnet20","seed":1e400}', '#/seed'],
    ['/v1/plans', '{"architecture":"resnet20","seed":[1,-1e400]}', '#/seed'],
    ['/v1/models/net/predict', '{"instances":[{"b64":1e400}]}', '#/instances/0/b64'],
    ['/v1/initializers/constant/statistics', '{"shape":[2],"config":{"value":1e400}}', '#/config/value'],
    ['/v1/initializers/zeros/sample', '{"shape":[2,1e400]}', '#/shape/1'],
    ['/v1/models/net/signals', '{"batch_size":1e400}', '#/batch_size'],
    ['/v1/comparisons', '{"specs":[1e400,1e400]}', '#/specs/0'],
    ['/v1/experiments', '{"steps":1e400}', '#/steps'],
  ]
  it.each(problems)('%s, body %#', async (path, body, pointer) => {
    for (const text of [body, enlarge(body)]) {
      const problem = expectProblem(await send(path, text), {
        ...{ status: 422, code: 'INVALID_REQUEST', pointer, says: /Infinity/ },
      })
      expect(JSON.stringify(problem)).not.toContain('null')
    }
  })

  it.each([
    ['/v1/models/net:predict', `{"instances":${image}}`],
    ['/v1/models/net:predict', `{"inputs":${image}}`],
    ['/v2/models/net/infer', inference(pixels.flat(2)).replace('0,0,2.25', '0,1e400,2.25')],
    ['/v2/models/net/infer', inference(pixels.flat(2)).replace('FP32', 'UINT8').replace('[0,0', '[1e400,0')],
  ])('%s, body %#', async (path, body) => {
    for (const text of [body, enlarge(body)]) {
      const answer = await send(path, text)
      expectForeignError(answer, { status: 400, says: /Infinity/ })
      expect(answer.bytes.toString()).not.toContain('null')
    }
  })
})

it('1e400 in a list of values is beyond float32', async () => {
  const pointer = '#/initializers/kernel/config/value'
  for (const path of ['/v1/plans', '/v1/models'])
    expectProblem(await send(path, specification.replace('0.5', '[1,1e400]')), {
      ...{ status: 422, code: 'INVALID_REQUEST', pointer, says: /^(?![^]*null)[^]*beyond float32/ },
    })
})

describe('a field that a body has twice is refused (RFC 7493):', () => {
  const twice = (body: string, field: string): string => body.replace(field, `${field}1,${field}`)
  const problems: readonly (readonly [
    method: 'post' | 'put',
    path: string,
    body: string,
    pointer: string,
  ])[] = [
    ['post', '/v1/plans', twice(specification, '"classes":'), '#/classes'],
    ['post', '/v1/models', twice(specification, '"value":'), '#/initializers/kernel/config/value'],
    ['put', '/v1/models/named', twice(specification, '"classes":'), '#/classes'],
    [
      'post',
      '/v1/models/net/predict',
      `{"instances":[{"b64":"AA==","\\u006264":"AA=="}]}`,
      '#/instances/0/b64',
    ],
    ['post', '/v1/initializers/zeros/statistics', '{"shape":[2],"shape":[2]}', '#/shape'],
    ['post', '/v1/initializers/zeros/sample', '{"shape":[2],"seed":1,"seed":1}', '#/seed'],
    ['post', '/v1/models/net/signals', '{"seed":1,"seed":1}', '#/seed'],
    ['post', '/v1/comparisons', '{"specs":[{"seed":1,"seed":1}]}', '#/specs/0/seed'],
    ['post', '/v1/experiments', '{"steps":1,"steps":1}', '#/steps'],
  ]
  it.each(problems)('%s %s, body %#', async (method, path, body, pointer) => {
    for (const text of [body, enlarge(body)])
      expectProblem(await send(path, text, method), {
        ...{ status: 400, code: 'MALFORMED_REQUEST', pointer, says: /twice/ },
      })
  })

  it.each([
    ['/v1/models/net:predict', `{"instances":[1],"instances":[${JSON.stringify(pixels)}]}`],
    ['/v1/models/net:predict', '{"instances":[{"b64":"AA==","b64":"AA=="}]}'],
    ['/v2/models/net/infer', twice(inference(pixels.flat(2)), '"inputs":')],
    ['/v2/models/net/infer', twice(inference(pixels.flat(2)), '"data":')],
    ['/v2/repository/index', '{"ready":true,"ready":true}'],
  ])('%s, body %#', async (path, body) => {
    for (const text of [body, enlarge(body)])
      expectForeignError(await send(path, text), { status: 400, says: /twice/ })
  })
})
