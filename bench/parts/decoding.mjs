import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { pino } from 'pino'
import sharp from 'sharp'
import { median } from '../lib/rounds.mjs'

/** @type {typeof import('../../src/images/client/image-decoder.ts')} */
const { ImageDecoder } = await import(
  new URL('../../dist/images/client/image-decoder.js', import.meta.url).href
)

/**
 * Cost of decoding in a separate process: milliseconds per image for a network of 224x224, one after another,
 * by libvips in this process and through a decoder. Usage: node bench/parts/decoding.mjs
 */
const ROUNDS = 30
const SIDE = 224
const options = /** @type {const} */ ({ shape: [SIDE, SIDE, 3], fit: 'cover', resize: null, maxPixels: 1e8 })
const photograph = await readFile('test/fixtures/flower.jpg')
/** @param {number} width @param {number} height */
const resized = (width, height) => sharp(photograph).resize(width, height, { fit: 'fill' })
const images = {
  'a JPEG of 224x224': await resized(SIDE, SIDE).jpeg({ quality: 90 }).toBuffer(),
  'a PNG of 224x224': await resized(SIDE, SIDE).png().toBuffer(),
  'a photograph of 12 megapixels': await resized(4032, 3024).jpeg({ quality: 90 }).toBuffer(),
  'the same, progressive': await resized(4032, 3024).jpeg({ quality: 90, progressive: true }).toBuffer(),
}

const decoder = new ImageDecoder({
  logger: pino({ level: 'silent' }),
  processes: 2,
  timeoutMs: 60_000,
  memoryBytes: 420e6,
})
await decoder.started()
sharp.concurrency(1)
/** @type {Record<string, (file: Buffer) => Promise<unknown>>} */
const ways = {
  'in this process': async (file) => {
    const image = sharp(file, { failOn: 'warning' })
    await image.metadata()
    await image.autoOrient().resize(SIDE, SIDE).flatten().toColourspace('srgb').raw().toBuffer()
  },
  'in a decoder': (file) => decoder.decode({ file, pointer: '#', options, signal: undefined }),
}
console.log(
  `${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}, median of ${String(ROUNDS)}`,
)
for (const [name, file] of Object.entries(images)) {
  /** @type {Record<string, number[]>} */
  const times = {}
  for (let round = 0; round < ROUNDS; round++) {
    for (const [way, decode] of Object.entries(ways)) {
      const started = performance.now()
      await decode(file)
      ;(times[way] ??= []).push(performance.now() - started)
    }
  }
  const costs = Object.entries(times).map(([way, ms]) => `${median(ms).toFixed(1)} ms ${way}`)
  console.log(`${name} (${String(Math.round(file.length / 1000))} KB): ${costs.join(', ')}`)
}
await decoder.close()
