import { readFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { decodeImage } from '../../../src/images/worker/decode.ts'

const options = { fit: 'cover', resize: null, maxPixels: 100_000, maxBytes: 350e6 } as const
const SIDES = [1, 7, 8, 9, 15, 16, 17, 24, 33, 64]
const FORMS = [
  {},
  { chromaSubsampling: '4:4:4' },
  { progressive: true },
  { progressive: true, chromaSubsampling: '4:4:4' },
  { trellisQuantisation: true, optimiseCoding: true, quality: 1 },
]
/** Black images by Pillow, of all subsamplings, some with restart markers (test/fixtures/pillow_jpegs.py). */
const byPillow = JSON.parse(
  readFileSync(new URL('../../fixtures/pillow_jpegs.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, string>>

function blank(width: number, height: number, background = '#000') {
  return sharp({ create: { width, height, channels: 3, background } })
}

function noisy(width: number, height: number) {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const
  return sharp({ create: { width, height, channels: 3, background: '#888', noise } })
}

/** The start and the end of the data of each scan. */
function scansIn(file: Buffer): { start: number; end: number }[] {
  const scans: { start: number; end: number }[] = []
  for (let at = 2; file[at + 1] !== 0xd9;) {
    const isScan = file[at + 1] === 0xda
    const start = at + 2 + file.readUInt16BE(at + 2)
    at = start
    if (!isScan) continue
    const isData = (next = 0): boolean => next === 0 || (next >= 0xd0 && next <= 0xd7)
    while (file[at] !== 0xff || isData(file[at + 1])) at += 1
    scans.push({ start, end: at })
  }
  return scans
}

/** The file with this much of a scan's data. */
function shorten(file: Buffer, { start, end }: { start: number; end: number }, kept = 0): Buffer {
  return Buffer.concat([file.subarray(0, start + kept), file.subarray(end)])
}

describe('a JPEG with missing scan data is refused, also one block row high:', () => {
  const sizes = [
    [8, 8],
    [64, 8],
    [64, 16],
    [64, 64],
  ] as const
  it.each(sizes.flatMap(([width, height]) => FORMS.map((form) => ({ width, height, ...form }))))(
    '%o',
    async ({ width, height, ...form }) => {
      const file = await noisy(width, height).jpeg(form).toBuffer()
      for (const scan of scansIn(file))
        // The model's own size, and one for which libjpeg decodes an eighth.
        for (const shape of [
          [height, width, 3],
          [1, 1, 3],
        ])
          await expect(decodeImage(shorten(file, scan), 'jpeg', { ...options, shape })).rejects.toThrow(
            /damaged or cut off/,
          )
    },
  )

  it('restart markers and stuffed zeros are not data', async () => {
    const file = await noisy(64, 8).jpeg().toBuffer()
    const [scan = { start: 0, end: 0 }] = scansIn(file)
    const empty = shorten(file, scan)
    for (const filling of ['ffd0ffd1ffd2ffd3ffd4ffd5', 'ff00ff00']) {
      const bytes = Buffer.concat([
        empty.subarray(0, scan.start),
        Buffer.from(filling, 'hex'),
        empty.subarray(scan.start),
      ])
      await expect(decodeImage(bytes, 'jpeg', { ...options, shape: [8, 64, 3] })).rejects.toThrow(
        /damaged or cut off/,
      )
    }
  })
})

describe('a valid JPEG is decoded', () => {
  it.each(FORMS)('of any size, black, white or noisy, in colour, grey or CMYK: %o', async (form) => {
    for (const [index, width] of SIDES.entries()) {
      const height = SIDES[(index * 3 + 1) % SIDES.length] ?? 1
      for (const image of [blank(width, height), blank(width, height, '#fff'), noisy(width, height)])
        for (const inks of [image, image.clone().greyscale(), image.clone().toColourspace('cmyk')]) {
          const file = await inks.jpeg(form).toBuffer()
          const { pixels } = await decodeImage(file, 'jpeg', { ...options, shape: [height, width, 3] })
          expect(pixels.length).toBe(3 * width * height)
        }
    }
  })

  it.each(Object.entries(byPillow))('by Pillow: %s', async (name, base64) => {
    const [width = 0, height = 0] = (name.split(' ')[0] ?? '').split('x').map(Number)
    const shape = [height, width, 3]
    const { pixels } = await decodeImage(Buffer.from(base64, 'base64'), 'jpeg', { ...options, shape })
    expect(Math.max(...pixels)).toBe(0)
  })
})
