import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { flowerJpeg, npy, pixelPng, truncatedJpeg } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem, type Refusal } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService({ MAX_IMAGE_PIXELS: '70000', MAX_BODY_BYTES: '100000' })
  await running.client.create({ ...tiny, name: 'net' })
})
afterAll(() => running.close())
afterEach(async () => {
  const answer = await running.client.upload('/v1/models/net/predict', flowerJpeg, 'image/jpeg')
  expect([answer.status, running.service.engine.restarts]).toEqual([200, 0])
})

const image = (says: RegExp, pointer = '#'): Refusal => ({
  status: 422,
  code: 'INVALID_IMAGE',
  pointer,
  says,
})
const query = (pointer: string, says: RegExp): Refusal => ({
  status: 422,
  code: 'INVALID_REQUEST',
  pointer,
  says,
})
const text = Buffer.from('not an image at all')
const bmp = Buffer.from('BM'.padEnd(100, '\0'))

const refused: Record<string, readonly [Buffer, string | undefined, string, Refusal]> = {
  'a text': [text, 'image/jpeg', '', image(/is not a JPEG, PNG or WebP image/)],
  'a text of no type': [text, undefined, '', image(/is not a JPEG, PNG or WebP image/)],
  'another format': [bmp, 'image/bmp', '', image(/is not a JPEG, PNG or WebP image/)],
  'an SVG': [
    Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'),
    'image/svg+xml',
    '',
    image(/is not a JPEG/),
  ],
  'a truncated JPEG': [truncatedJpeg, 'image/jpeg', '', image(/damaged or cut off/)],
  'a JPEG of a few bytes': [
    flowerJpeg.subarray(0, 20),
    'image/jpeg',
    '',
    image(/damaged or cut off|is not a JPEG/),
  ],
  'one pixel with fit=exact': [
    pixelPng,
    'image/png',
    '?fit=exact',
    image(/must be 8x8 with fit=exact, got 1x1/),
  ],
  'no bytes': [
    Buffer.alloc(0),
    'image/png',
    '',
    { status: 400, code: 'MALFORMED_REQUEST', says: /is empty/ },
  ],
  'an array of another shape': [
    npy([1, 8, 9, 3], new Uint8Array(216)),
    'application/x-npy',
    '',
    image(/must have shape \[n, 8, 8, 3\], got \[1, 8, 9, 3\]/),
  ],
  'an array of no images': [
    npy([0, 8, 8, 3], new Uint8Array(0)),
    'application/x-npy',
    '',
    image(/must have shape/),
  ],
  'an array that is cut off': [
    npy([1, 8, 8, 3], new Uint8Array(191)),
    'application/x-npy',
    '',
    image(/holds 191 bytes, its shape \[1, 8, 8, 3\] needs 192/),
  ],
  'an array of doubles': [
    Buffer.from(npy([8, 8, 3], new Float32Array(192)).toString('latin1').replace('<f4', '<f8'), 'latin1'),
    'application/x-npy',
    '',
    image(/got <f8; use a\.astype/),
  ],
  'no array': [flowerJpeg, 'application/x-npy', '', image(/magic/)],
  'no class at all': [flowerJpeg, 'image/jpeg', '?top_k=0', query('#/top_k', /must be >= 1, got 0/)],
  'an unknown fit': [
    flowerJpeg,
    'image/jpeg',
    '?fit=stretch',
    query('#/fit', /"cover", "fill", "contain", "exact"/),
  ],
  'a misspelt fit': [flowerJpeg, 'image/jpeg', '?fit=exct', query('#/fit', /did you mean "exact"\?/)],
  'invalid JSON of an unknown type': [
    Buffer.from(' {"instances": '),
    'application/x-www-form-urlencoded',
    '',
    { status: 400, code: 'MALFORMED_REQUEST', says: /JSON/ },
  ],
  'JSON of no known type with an unknown field': [
    Buffer.from('{"instances": [{"b64": "AA=="}], "extra": 1}'),
    undefined,
    '',
    query('#/extra', /not a known field/),
  ],
  'an unknown vector': [
    flowerJpeg,
    'image/jpeg',
    '?include=logit',
    query('#/include', /must be among logits/),
  ],
  'a batch of maybe': [flowerJpeg, 'image/jpeg', '?batch=maybe', query('#/batch', /boolean/)],
  'a misspelt query field': [flowerJpeg, 'image/jpeg', '?topk=1', query('#/topk', /did you mean "top_k"\?/)],
}

describe('an upload is rejected:', () => {
  it.each(Object.entries(refused))('%s', async (_, [bytes, type, fields, refusal]) => {
    expectProblem(await running.client.upload(`/v1/models/net/predict${fields}`, bytes, type), refusal)
  })

  it('too many pixels', async () => {
    const sharp = (await import('sharp')).default
    const large = await sharp({ create: { width: 300, height: 300, channels: 3, background: '#fff' } })
      .png()
      .toBuffer()
    const answer = await running.client.upload('/v1/models/net/predict', large, 'image/png')
    expectProblem(answer, image(/more than the 70000 allowed|more pixels than allowed/))
  })

  it.each([
    ['an unknown field', { instances: [{ b64: 'AA==' }], extra: 1 }, query('#/extra', /not a known field/)],
    ['no instance', { instances: [] }, query('#/instances', /fewer than 1/)],
    [
      'invalid base64',
      { instances: [{ b64: 'AA==' }, { b64: '$' }] },
      query('#/instances/1/b64', /is not base64/),
    ],
    [
      'an unreadable one',
      { instances: [{ b64: pixelPng.toString('base64') }, { b64: 'AAAA' }] },
      image(/is not a JPEG/, '#/instances/1/b64'),
    ],
  ])('%s in JSON', async (_, body, refusal) => {
    expectProblem(await running.client.post('/v1/models/net/predict', body), refusal)
  })

  it('a form with an unreadable part, by its index', async () => {
    const parts = [flowerJpeg, truncatedJpeg].map((value) => ({ name: 'images', value, filename: 'a.jpg' }))
    const answer = await running.client.form('/v1/models/net/predict', parts)
    expectProblem(answer, image(/damaged or cut off/, '#/images/1'))
  })

  it('a form without files', async () => {
    const path = '/v1/models/net/predict'
    const empty = await running.client.upload(path, '--x--\r\n', 'multipart/form-data; boundary=x')
    expectProblem(empty, query('#/images', /at least one file part/))
    const text = await running.client.form(path, [{ name: 'image', value: 'text' }])
    expectProblem(text, query('#/image', /is not a file; send every image as a file part/))
  })

  it('a form with a part that has no name', async () => {
    const head = 'Content-Disposition: form-data; filename="a.jpg"'
    const type = 'multipart/form-data; boundary=x'
    for (const part of [head, 'Content-Disposition: form-data']) {
      const body = `--x\r\n${part}\r\n\r\n1\r\n--x--\r\n`
      const answer = await running.client.upload('/v1/models/net/predict', body, type)
      expectProblem(answer, {
        status: 400,
        code: 'MALFORMED_REQUEST',
        says: /a part of the form has no name/,
      })
    }
  })

  it('a form with a field of the query', async () => {
    const parts = [
      { name: 'images', value: flowerJpeg, filename: 'a.jpg' },
      { name: 'top_k', value: '1' },
    ]
    const answer = await running.client.form('/v1/models/net/predict', parts)
    expectProblem(answer, query('#/top_k', /belongs in the query/))
  })

  it('a form above the body limit, in one part or in sum', async () => {
    for (const sizes of [[110_000], [60_000, 60_000]]) {
      const parts = sizes.map((size) => ({ name: 'images', value: Buffer.alloc(size, 1), filename: 'a' }))
      const answer = await running.client.form('/v1/models/net/predict', parts)
      expectProblem(answer, { status: 413, code: 'BODY_TOO_LARGE', says: /MAX_BODY_BYTES/ })
    }
  })
})

it('a bad image fails its own request and no other', async () => {
  const uploads = Array.from({ length: 20 }, (_, index) => (index % 5 === 0 ? truncatedJpeg : flowerJpeg))
  const answers = await Promise.all(
    uploads.map((bytes) => running.client.upload('/v1/models/net/predict', bytes, 'image/jpeg')),
  )
  expect(answers.map(({ status }) => status)).toEqual(
    uploads.map((bytes) => (bytes === flowerJpeg ? 200 : 422)),
  )
})
