import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Client, PredictionsBody } from '../../support/client.ts'
import { flowerJpeg, npy } from '../../support/images.ts'
import { expectLogits } from '../../support/numbers.ts'
import { expectProblem } from '../../support/problems.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** Side of the images. The engine decodes plain JPEGs of this size itself. */
const SIDE = 64

let running: RunningService
let client: Client
beforeAll(async () => {
  running = await startService()
  client = running.client
  await client.create({
    ...tiny,
    architecture: { ...tiny.architecture, input_shape: [SIDE, SIDE, 3] },
    name: 'jpegs',
  })
})
afterAll(() => running.close())

const kinds: Record<string, (image: Sharp) => Sharp> = {
  baseline: (image) => image.jpeg(),
  'of high quality': (image) => image.jpeg({ quality: 98 }),
  progressive: (image) => image.jpeg({ progressive: true }),
  'full colour': (image) => image.jpeg({ chromaSubsampling: '4:4:4' }),
  grey: (image) => image.greyscale().jpeg(),
  'with a profile': (image) => image.withIccProfile('p3').jpeg(),
  'on its side': (image) => image.withMetadata({ orientation: 6 }).jpeg(),
}

function square(): Sharp {
  return sharp(flowerJpeg).resize(SIDE, SIDE).removeAlpha()
}

/** A JPEG with a valid header and end marker, and scan data that cannot be decoded. */
function hollow(jpeg: Buffer): Buffer {
  const scan = jpeg.indexOf(Buffer.from([0xff, 0xda]))
  return Buffer.concat([jpeg.subarray(0, scan + 4), Buffer.from([0xff, 0xd9])])
}

const PATH = '/v1/models/jpegs/predict?include=logits'

async function logitsOf(body: Buffer, type: string) {
  const answer = await client.upload(PATH, body, type)
  expect(answer.status).toBe(200)
  return (answer.json as PredictionsBody).predictions
}

it.each(Object.keys(kinds))("%s: the logits equal those of sharp's pixels", async (kind) => {
  const jpeg = (await kinds[kind]?.(square()).toBuffer()) ?? Buffer.alloc(0)
  const pixels = await sharp(jpeg, { ignoreIcc: true }).autoOrient().toColourspace('srgb').raw().toBuffer()
  const [fromPixels] = await logitsOf(npy([1, SIDE, SIDE, 3], pixels), 'application/x-npy')
  const [fromJpeg] = await logitsOf(jpeg, 'image/jpeg')
  expect(fromJpeg?.logits).toEqual(fromPixels?.logits)
  expect(fromJpeg?.image).toEqual({ width: SIDE, height: SIDE, format: 'jpeg' })
})

it('an undecodable one fails alone, whatever its batch', async () => {
  const sound = await square().jpeg().toBuffer()
  const [expected] = await logitsOf(sound, 'image/jpeg')
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, index) =>
      client.upload(PATH, index % 3 === 1 ? hollow(sound) : sound, 'image/jpeg'),
    ),
  )
  for (const [index, answer] of answers.entries()) {
    if (index % 3 === 1) expectProblem(answer, { status: 422, code: 'INVALID_IMAGE', pointer: '#' })
    // A batch of another size may be computed by other kernels.
    else expectLogits((answer.json as PredictionsBody).predictions[0]?.logits ?? [], expected?.logits ?? [])
  }
})

it('its error names its index in the request', async () => {
  const sound = await square().jpeg().toBuffer()
  const instances = [sound, hollow(sound), sound].map((bytes) => ({ b64: bytes.toString('base64') }))
  const answer = await client.post(PATH, { instances })
  expectProblem(answer, { status: 422, code: 'INVALID_IMAGE', pointer: '#/instances/1/b64' })
})
