import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { arithmeticImage, flowerJpeg } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

/*
 * Malformed requests of json_tensor_test.cc and http_rest_api_handler_test.cc of TensorFlow Serving, and the
 * checks of json_tensor.cc.
 */
const SHAPE = [8, 8, 3] as const
const PREDICT = '/v1/models/net:predict'
const nested = nest([...arithmeticImage(SHAPE)])

let running: RunningService
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())

/** Flat values as [height, width, channels] lists. */
function nest(flat: number[]): number[][][] {
  const [height, width, channels] = SHAPE
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (__, x) => flat.slice((y * width + x) * channels).slice(0, channels)),
  )
}

const predict = (json: object, path = PREDICT): Promise<Answer> => running.client.post(path, json)
const b64 = (bytes: Buffer) => ({ b64: bytes.toString('base64') })
const row = (value: unknown) => ({ instances: [value] })

it.each<[string, object | string, RegExp]>([
  ['a signature that is no text', { signature_name: 100, instances: [nested] }, /must be a string/],
  ['a signature that is null', { signature_name: null, instances: [nested] }, /must be a string/],
  [
    'a signature of many levels',
    `{"signature_name": ${'['.repeat(50)}${']'.repeat(50)}, "instances": [1]}`,
    /must be a string/,
  ],
  ['a Python literal instead of JSON', 'instances = [1, 2]', /^JSON Parse error/],
  ['instances that are null', { instances: null }, /must be a list/],
  ['instances that are an object', { instances: { images: [nested] } }, /must be a list/],
  ['instances beside inputs that are null', { instances: [nested], inputs: null }, /either "instances"/],
  ['inputs that are null', { inputs: null }, /Missing named input/],
  ['inputs that are a number', { inputs: 1 }, /Missing named input/],
  ['inputs without images', { inputs: {} }, /Missing named input/],
  ['named inputs without images', { inputs: { images: [] } }, /at least one image/],
  ['an empty image', row([]), /list of 8/],
  ['strings for images', { instances: ['x', 'y'] }, /Missing named input/],
  ['null for an image', row(null), /Missing named input/],
  ['null for a pixel', row(nested.map((line) => line.map(() => [null, 0, 0]))), /got null/],
  ['images of two sizes', { instances: [nested, nested.slice(1)] }, /#\/instances\/1 must be a list of 8/],
  ['a level too many', row([nested]), /list of 8/],
  ['a scalar beside lists', { instances: [nested, 1] }, /#\/instances\/1 Missing named input/],
  [
    'a bare value, then a named one',
    { instances: [nested, { images: nested }] },
    /#\/instances\/1 must be like the first: Expecting value\/list but got object/,
  ],
  [
    'a named value, then a bare one',
    { instances: [{ images: nested }, nested] },
    /#\/instances\/1 must be like the first: Expecting object but got value\/list/,
  ],
  [
    'a bare encoded image, then a named one',
    { instances: [b64(flowerJpeg), { image_bytes: b64(flowerJpeg) }] },
    /Expecting value\/list but got object/,
  ],
  [
    'a named encoded image, then a bare one',
    { instances: [{ image_bytes: b64(flowerJpeg) }, b64(flowerJpeg)] },
    /Expecting object but got value\/list/,
  ],
  ['another field beside b64', row({ ...b64(flowerJpeg), x: 1 }), /"b64": "\.\.\."\} without other fields/],
  [
    'another field beside a named b64',
    row({ image_bytes: { ...b64(flowerJpeg), x: 1 } }),
    /without other fields/,
  ],
  ['another field beside b64 by column', { inputs: { ...b64(flowerJpeg), x: 1 } }, /without other fields/],
  [
    'another field beside b64 in a list by column',
    { inputs: [b64(flowerJpeg), { ...b64(flowerJpeg), x: 1 }] },
    /without other fields/,
  ],
  ['b64 that is a number', row({ b64: 7 }), /Missing named input/],
  ['b64 that is null', row({ b64: null }), /Missing named input/],
  ['a named b64 that is a list', row({ image_bytes: { b64: ['aGk='] } }), /base64/],
  ['base64 that is no object', row({ image_bytes: flowerJpeg.toString('base64') }), /base64/],
  ['base64 for pixels', row({ images: b64(flowerJpeg) }), /list of 8.*got an object/],
  ['base64 within lists', row([[[b64(flowerJpeg)]]]), /list of 8/],
  ['pixels for an encoded image', row({ image_bytes: nested }), /base64/],
  ['a named value in a list by column', { inputs: [{ images: nested }] }, /list of 8.*got an object/],
])('%s', async (_, body, says) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  expectForeignError(await running.client.upload(PREDICT, text), { status: 400, says })
  expect((await predict({ instances: [nested] })).status).toBe(200)
})

it.each<[string, string, number, RegExp]>([
  ...['net', 'unknown'].flatMap((model) =>
    ['HELLO', 'some_label', '1.0', '-1', '%20'].flatMap((version) =>
      (
        [
          [':predict', 'post'],
          [':regress', 'post'],
          ['', 'get'],
          ['/metadata', 'get'],
        ] as const
      ).map(([rest, method]): [string, string, number, RegExp] => [
        `/v1/models/${model}/versions/${version}${rest}`,
        method,
        400,
        /^Malformed request: (GET|POST) \/v1\/models\//,
      ]),
    ),
  ),
  [`/v1/models/net/versions/${String(2n ** 64n - 1n)}:regress`, 'post', 400, /^Failed to convert version/],
  ['/v1/models/net/versions/:predict', 'post', 400, /Malformed request/],
  ['/v1/models/net/versions', 'get', 400, /Malformed request/],
  ['/v1/models/foo/version/50:predict', 'get', 400, /Malformed request/],
  ['/v1/models/foo/version/50:regress', 'post', 400, /Malformed request/],
  ['/v1/models/foo/label/some_label:regress', 'post', 400, /Malformed request/],
  ['/v1/models/foo/versions/50/labels/some_label:regress', 'post', 400, /Malformed request/],
  ['/v1/models/foo/metadata', 'post', 400, /Malformed request/],
  ['/v1/models/foo/versions/1', 'post', 400, /Malformed request/],
  ['/v1/models/net/metadata', 'delete', 400, /Malformed request/],
  ['/v1/models/net:predict', 'put', 400, /Malformed request/],
  ['/v1/models/net:predict', 'delete', 400, /Malformed request/],
  ['/v1/models/net:predict', 'head', 400, /^/],
  ['/v1/models/net/metadata', 'head', 200, /^/],
  ['/v1/models/foo/versions/50:predict', 'post', 404, /foo/],
  ['/v1/models/net99:predict', 'post', 404, /net99/],
])('%s by %s', async (path, method, status, says) => {
  const answer = await (method === 'post'
    ? predict({ instances: [nested] }, path)
    : running.client.send(method as 'get', path, {}))
  // The response to HEAD has no body.
  if (method === 'head') expect(answer.status).toBe(status)
  else expectForeignError(answer, { status, says })
})
