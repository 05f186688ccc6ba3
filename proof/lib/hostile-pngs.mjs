import { deflateSync } from 'node:zlib'
import {
  COLOUR,
  compressedChunk,
  png,
  PNG_SIGNATURE,
  pngChunk,
  pngChunksOf,
  repeatedByte,
  uint32,
} from './png.mjs'

/** @typedef {import('./choices.mjs').Choices} Choices */
/** @typedef {import('./hostile-images.mjs').ImageKind} ImageKind */

const SIDE = 32
const SMALL = { width: SIDE, height: SIDE }

/** Compressed black rows without filter. @param {number} rows @param {number} bytes a row */
const rowsOf = (rows, bytes) => repeatedByte(rows * (1 + bytes), 0)
const smallData = pngChunk('IDAT', rowsOf(SIDE, 3 * SIDE))

/** @param {{ png: Buffer }} sound @returns {ImageKind[]} */
export function hostilePngs({ png: sound }) {
  const chunks = pngChunksOf(sound)
  /** @param {readonly Buffer[]} list */
  const file = (list) => Buffer.concat([PNG_SIGNATURE, ...list])
  return [
    {
      name: 'PNG with hundreds of texts that decompress to megabytes',
      make: (choices) => {
        const compressed = repeatedByte(choices.between(4_000_000, 7_900_000), choices.between(0x41, 0x5b))
        const types = choices.of(/** @type {const} */ ([['zTXt'], ['iTXt'], ['iCCP'], ['zTXt', 'iTXt']]))
        const texts = Array.from({ length: choices.between(500, 1200) }, (_, at) =>
          compressedChunk(choices.of(types), `k${String(at)}`, compressed),
        )
        const ahead = choices.below(2) === 0
        return png(SMALL, ahead ? [...texts, smallData] : [smallData, ...texts])
      },
    },
    {
      name: 'PNG with a profile that decompresses to hundreds of megabytes',
      make: (choices) => {
        const compressed = repeatedByte(choices.between(50_000_000, 200_000_000), choices.below(256))
        return png(SMALL, [compressedChunk('iCCP', 'k', compressed), smallData])
      },
    },
    {
      name: 'PNG whose data decompress to more than its header says',
      make: (choices) =>
        png(SMALL, [pngChunk('IDAT', repeatedByte(choices.between(100_000_000, 300_000_000), 0))]),
    },
    {
      name: 'PNG that announces more pixels than allowed',
      verdict: 'refused',
      make: (choices) => {
        const side = choices.between(12_000, 30_000)
        const header = { width: side, height: side, depth: 1, colour: COLOUR.grey }
        const whole = choices.below(3) === 0
        return png(header, [pngChunk('IDAT', rowsOf(whole ? side : 10, Math.ceil(side / 8)))])
      },
    },
    {
      name: 'PNG of 4 billion columns',
      verdict: 'refused',
      make: (choices) =>
        png({ width: choices.between(2 ** 20, 2 ** 31), height: choices.of([1, 2, 2 ** 31 - 1]) }, [
          smallData,
        ]),
    },
    {
      name: 'PNG of 50 megapixels that is interlaced or of 16 bits',
      make: (choices) => {
        const side = choices.between(6500, 7071)
        const { colour, depth, bytes } = choices.of([
          { colour: COLOUR.grey, depth: 8, bytes: 1 },
          { colour: COLOUR.rgb, depth: 8, bytes: 3 },
          { colour: COLOUR.rgba, depth: 16, bytes: 8 },
        ])
        const interlace = choices.below(2)
        // Adam7 has up to two filter bytes per row; more data than the rows need is a separate oddity.
        const data = rowsOf(side, side * bytes + interlace)
        return png({ width: side, height: side, depth, colour, interlace }, [pngChunk('IDAT', data)])
      },
    },
    {
      name: 'PNG with 100,000 chunks',
      make: (choices) => {
        const type = choices.of(['tEXt', 'IDAT', 'prIv', 'tIME', 'sPLT', 'PLTE', 'eXIf', 'aaAA'])
        const tiny = pngChunk(type, choices.bytes(choices.below(4)))
        const many = Buffer.alloc(tiny.length * choices.between(50_000, 150_000), tiny)
        return png(
          SMALL,
          choices.of([
            [many, smallData],
            [smallData, many],
          ]),
        )
      },
    },
    {
      name: 'PNG with wrong checksums',
      make: (choices) => {
        const wrong = chunks.map((chunk) => Buffer.from(chunk))
        for (let times = choices.between(1, 3); times > 0; times -= 1) {
          const chunk = choices.of(wrong)
          const at = chunk.length - choices.between(1, 5)
          chunk[at] = (chunk[at] ?? 0) ^ choices.between(1, 256)
        }
        return file(wrong)
      },
    },
    {
      name: 'PNG with a wrong palette or transparency',
      make: (choices) => {
        const header = { ...SMALL, depth: 8, colour: choices.of([COLOUR.palette, COLOUR.grey, COLOUR.rgba]) }
        const palette = pngChunk('PLTE', choices.bytes(choices.of([0, 1, 3, 9, 768, 771, 3000])))
        const transparency = pngChunk('tRNS', choices.bytes(choices.of([0, 1, 2, 6, 256, 257, 1000])))
        const colours = { [COLOUR.palette]: 1, [COLOUR.grey]: 1, [COLOUR.rgba]: 4 }[header.colour] ?? 1
        const rows = Buffer.concat(
          Array.from({ length: SIDE }, () => Buffer.concat([Buffer.alloc(1), choices.bytes(SIDE * colours)])),
        )
        const data = pngChunk('IDAT', deflateSync(rows))
        const order = choices.of([
          [palette, transparency, data],
          [transparency, palette, data],
          [data, palette],
          [transparency, data],
          [palette, palette, transparency, transparency, data],
        ])
        return png(header, order)
      },
    },
    {
      name: 'PNG with an impossible header',
      verdict: 'refused',
      make: (choices) => {
        const wrong = choices.of([
          { depth: choices.of([0, 3, 5, 17, 255]) },
          { colour: choices.of([1, 5, 7, 255]) },
          { depth: 16, colour: COLOUR.palette },
          { depth: 2, colour: COLOUR.rgb },
          { interlace: choices.between(2, 256) },
          { width: 0 },
          { height: 0 },
          { width: 2 ** 31 },
        ])
        return png({ ...SMALL, ...wrong }, [smallData])
      },
    },
    {
      name: 'PNG with thousands of animated frames',
      make: (choices) => {
        const count = choices.between(1000, 5000)
        const size = [uint32(SIDE), uint32(SIDE), uint32(0), uint32(0), uint32(1)]
        const data = deflateSync(Buffer.alloc(SIDE * (1 + 3 * SIDE), choices.below(5)))
        const frames = Array.from({ length: count }, (_, at) => [
          pngChunk('fcTL', Buffer.concat([uint32(2 * at), ...size, Buffer.alloc(2)])),
          pngChunk('fdAT', Buffer.concat([uint32(2 * at + 1), data])),
        ])
        const control = pngChunk('acTL', Buffer.concat([uint32(count), uint32(0)]))
        return png(SMALL, [control, smallData, ...frames.flat()])
      },
    },
    {
      name: 'PNG without or with parted data',
      make: (choices) => {
        const data = rowsOf(SIDE, 3 * SIDE)
        const parts = Array.from(data, (_, at) => pngChunk('IDAT', data.subarray(at, at + 1)))
        const between = pngChunk(choices.of(['tEXt', 'IEND', 'PLTE', 'CgBI']), choices.bytes(3))
        return png(
          SMALL,
          choices.of([
            [],
            parts,
            parts.slice(0, choices.below(parts.length)),
            parts.flatMap((part) => [part, between]),
            [smallData, smallData],
          ]),
        )
      },
    },
    {
      name: 'truncated PNG',
      verdict: 'refused',
      make: (choices) => sound.subarray(0, choices.between(9, Math.floor(sound.length * 0.9))),
    },
  ]
}
