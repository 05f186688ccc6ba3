import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, Client, PredictionsBody, ProblemBody } from '../../support/client.ts'
import { pixelPng } from '../../support/images.ts'
import { windowOf } from '../../support/networks.ts'
import { refusedOddities, soundOddities, type SoundOddity } from '../../support/oddities.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** No file has this size, so every image is resized. */
const OTHER = 20
/** The mean difference. Files are resized before they are rotated, which changes single pixels. */
const RESIZED_TOLERANCE = 4

let running: RunningService
let client: Client
/** Models whose outputs are the input pixels, by size. */
const models = new Map<string, string>()
beforeAll(async () => {
  running = await startService({ MAX_BATCH_SIZE: '1' })
  client = running.client
})
afterAll(() => running.close())

async function modelOf(height: number, width: number, channels = 3): Promise<string> {
  const shape = [height, width, channels].join()
  const id = models.get(shape) ?? (await client.create(windowOf(height, width, channels))).id
  models.set(shape, id)
  return id
}

/** All ways to send an image to a model. Each returns the model's logits, some its features. */
const paths: Record<string, (model: string, file: Buffer) => Promise<Answer>> = {
  'as the body': (model, file) => client.upload(predict(model), file, 'application/octet-stream'),
  'in a form beside a PNG': (model, file) =>
    client.form(
      predict(model),
      [pixelPng, file].map((value) => ({ name: 'images', value, filename: 'image' })),
    ),
  'in JSON': (model, file) => client.post(predict(model), { instances: [{ b64: file.toString('base64') }] }),
  'as BYTES': (model, file) =>
    client.post(`/v2/models/${model}/infer`, {
      inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [file.toString('base64')] }],
      outputs: [{ name: 'logits' }],
    }),
  'to :predict': (model, file) =>
    client.post(`/v1/models/${model}:predict`, { instances: [{ b64: file.toString('base64') }] }),
}
const predict = (model: string): string => `/v1/models/${model}/predict?include=features,logits`

/** The logits of the last image, and its features if the protocol has them. */
function resultOf({ json }: Answer): { logits: number[]; features: number[] | undefined } {
  const { predictions = [], outputs } = json as Partial<PredictionsBody> & {
    readonly outputs?: readonly { readonly data: number[] }[]
  }
  const last = predictions.at(-1) ?? {}
  const { logits = outputs?.[0]?.data ?? [], features } = last as { logits?: number[]; features?: number[] }
  return { logits, features }
}

function differences(given: readonly number[], wanted: readonly number[]): number[] {
  expect(given).toHaveLength(wanted.length)
  return given.map((value, index) => Math.abs(value - (wanted[index] ?? NaN)))
}

/** The same pixels, resized by another model. */
async function resized({ pixels, width, height }: SoundOddity, model: string): Promise<number[]> {
  const png = await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
  const { features = [] } = resultOf(await client.upload(predict(model), png, 'image/png'))
  return features
}

describe('a valid file has the same pixels as with Pillow, on every path:', () => {
  it.each(soundOddities.map((oddity) => [oddity.name, oddity] as const))('%s', async (_, oddity) => {
    const { file, width, height, pixels, tolerance } = oddity
    const own = await seenBy(await modelOf(height, width), file)
    expect(Math.max(...differences(own, [...pixels]))).toBeLessThanOrEqual(tolerance)
    const other = await modelOf(OTHER, OTHER)
    const away = differences(await seenBy(other, file), await resized(oddity, other))
    expect(away.reduce((sum, value) => sum + value) / away.length).toBeLessThan(RESIZED_TOLERANCE)
    const grey = await seenBy(await modelOf(height, width, 1), file)
    expect(Math.max(...differences(grey, lumaOf(pixels)))).toBeLessThanOrEqual(1 + tolerance)
  })
})

/** The pixels that a model receives, equal on every path. */
async function seenBy(model: string, file: Buffer): Promise<number[]> {
  let seen: Partial<ReturnType<typeof resultOf>> = {}
  for (const [path, send] of Object.entries(paths)) {
    const answer = await send(model, file)
    expect([path, answer.status, answer.status === 200 ? '' : answer.bytes.toString()]).toEqual([
      path,
      200,
      '',
    ])
    const result = resultOf(answer)
    seen = { features: result.features, ...seen, logits: seen.logits ?? result.logits }
    expect([path, result.logits]).toEqual([path, seen.logits])
    expect([path, result.features ?? seen.features]).toEqual([path, seen.features])
  }
  return seen.features ?? []
}

/** Like Pillow's `convert("L")`. */
function lumaOf(pixels: Buffer): number[] {
  return Array.from({ length: pixels.length / 3 }, (_, index) => {
    const [red = 0, green = 0, blue = 0] = pixels.subarray(3 * index)
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
  })
}

describe('an invalid file is rejected on every path:', () => {
  it.each(refusedOddities.map((oddity) => [oddity.name, oddity] as const))(
    '%s',
    async (_, { file, says }) => {
      for (const model of [await modelOf(19, 27), await modelOf(OTHER, OTHER)]) {
        for (const [path, send] of Object.entries(paths)) {
          const answer = await send(model, file)
          expect([path, answer.status]).toEqual([
            path,
            path === 'as BYTES' || path === 'to :predict' ? 400 : 422,
          ])
          expect((answer.json as ProblemBody).error).toContain(says)
        }
      }
    },
  )
})
