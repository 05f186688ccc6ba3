import { canvas, flatLossless, riffChunk, uint24, webp } from './webp.mjs'

/** @typedef {import('./choices.mjs').Choices} Choices */
/** @typedef {import('./hostile-images.mjs').ImageKind} ImageKind */

const LARGEST_SIDE = 16_383
const HEAD = 12
const FLAG = { animation: 2, xmp: 4, exif: 8, profile: 32 }
const SMALL = { width: 32, height: 32 }

/**
 * The size in the header of a lossy frame. @param {Buffer} file @param {number} width @param {number} height
 */
function resized(file, width, height) {
  const changed = Buffer.from(file)
  const start = changed.indexOf(Buffer.from([0x9d, 0x01, 0x2a]))
  changed.writeUInt16LE(width, start + 3)
  changed.writeUInt16LE(height, start + 5)
  return changed
}

/** @param {{ webp: Buffer, losslessWebp: Buffer }} sound @returns {ImageKind[]} */
export function hostileWebps({ webp: lossy, losslessWebp }) {
  const sounds = [lossy, losslessWebp]
  return [
    {
      name: 'lossless WebP that announces more pixels than allowed',
      verdict: 'refused',
      make: (choices) => {
        const side = () => choices.between(12_000, LARGEST_SIDE)
        return webp([flatLossless({ width: side(), height: side() })])
      },
    },
    {
      name: 'lossless WebP of 50 megapixels in 30 bytes',
      make: (choices) => {
        const size = { width: choices.between(6000, 7071), height: choices.between(6000, 7071) }
        return webp([flatLossless(size)])
      },
    },
    {
      name: 'lossy WebP that announces more pixels than it has',
      verdict: 'refused',
      make: (choices) =>
        resized(lossy, choices.between(5000, LARGEST_SIDE), choices.between(5000, LARGEST_SIDE)),
    },
    {
      name: 'WebP with a canvas of 2^48 pixels',
      verdict: 'refused',
      make: (choices) => {
        const huge = { width: choices.between(2 ** 20, 2 ** 24), height: choices.between(2 ** 20, 2 ** 24) }
        const flags = choices.of([0, FLAG.animation, 16])
        return webp([canvas({ ...huge, flags }), lossy.subarray(HEAD)])
      },
    },
    {
      name: 'WebP with thousands of animated frames',
      make: (choices) => {
        const frame = (/** @type {import('./webp.mjs').Size} */ size) =>
          riffChunk(
            'ANMF',
            Buffer.concat([
              ...[0, 0, size.width - 1, size.height - 1, choices.below(1000)].map(uint24),
              Buffer.from([choices.below(4)]),
              flatLossless(size),
            ]),
          )
        const size = { width: choices.between(1, 4000), height: choices.between(1, 4000) }
        const count = choices.between(1000, 10_000)
        const control = riffChunk('ANIM', choices.bytes(6))
        return webp([canvas({ ...size, flags: FLAG.animation }), control, ...Array(count).fill(frame(size))])
      },
    },
    {
      name: 'WebP with megabytes of metadata or 100,000 chunks',
      make: (choices) => {
        const [type, flags] = choices.of(
          /** @type {[string, number][]} */ ([
            ['ICCP', FLAG.profile],
            ['EXIF', FLAG.exif],
            ['XMP ', FLAG.xmp],
            ['junk', 0],
          ]),
        )
        const large = [
          riffChunk(type, Buffer.alloc(choices.between(1_000_000, 12_000_000), choices.below(256))),
        ]
        const many = Array(choices.between(20_000, 100_000)).fill(riffChunk(type, choices.bytes(2)))
        const more = choices.of([large, many])
        const image = lossy.subarray(HEAD)
        const head = canvas({ ...SMALL, flags })
        return webp(
          choices.of([
            [head, ...more, image],
            [head, image, ...more],
            [...more, image],
          ]),
        )
      },
    },
    {
      name: 'WebP with wrong lengths',
      make: (choices) => {
        const file = Buffer.from(choices.of(sounds))
        file.writeUInt32LE(choices.of([0, 1, 0x7fffffff, 0xffffffff, file.length * 2]), choices.of([4, 16]))
        return file
      },
    },
    {
      name: 'truncated WebP',
      verdict: 'refused',
      make: (choices) => {
        const file = choices.of(sounds)
        return file.subarray(0, choices.between(13, Math.floor(file.length * 0.9)))
      },
    },
  ]
}
