import {
  bare,
  bitsOfZero,
  emptyScan,
  flatJpeg,
  frame,
  huffman,
  manyScans,
  MARKER,
  quantization,
  scan,
  segment,
  segmentsOf,
  uint16,
} from './jpeg.mjs'

/** @typedef {import('./choices.mjs').Choices} Choices */
/** @typedef {import('./hostile-images.mjs').ImageKind} ImageKind */

const OWN = { width: 224, height: 224 }
const MEGAPIXELS_36 = { width: 6000, height: 6000, sampling: 2 }
const SEGMENT = 65_533
/** Size of all scans of a file, below the limit of a body. */
const SCAN_BYTES = 15_000_000
const BLOCK = 8
const UNSUPPORTED_FRAMES = [0xc3, 0xc5, 0xc6, 0xc7, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf, 0xf7]

/**
 * Valid progressive images with many more scans than any encoder writes: repeated first scans of AC,
 * refinements, and refinements of DC, each a few bytes and one pass over all coefficients.
 * @param {import('./jpeg.mjs').JpegSize} size
 * @param {number} count
 * @param {Choices} choices
 */
function scanBomb(size, count, choices) {
  const from = choices.between(1, 32)
  const to = choices.between(from, 64)
  const blocks = Math.ceil(size.width / BLOCK) * Math.ceil(size.height / BLOCK)
  const one = choices.of([
    emptyScan(size, { from, to }),
    emptyScan(size, { from, to, high: 2, low: 1 }),
    Buffer.concat([scan({ components: [1], to: 0, high: 2, low: 1 }), bitsOfZero(blocks)]),
  ])
  return manyScans(size, one, Math.min(count, Math.floor(SCAN_BYTES / one.length)))
}

/** An EXIF header whose IFD points to itself, points outside, or is endless. @param {Choices} choices */
function exif(choices) {
  const count = choices.between(1, 4000)
  const entries = Buffer.alloc(12 * count)
  for (let entry = 0; entry < count; entry += 1) {
    const tag = choices.of([0x0112, 0x8769, 0x8825, 0xa005, 0x014a, 0x0201, 0x927c])
    entries.writeUInt16LE(tag, 12 * entry)
    entries.writeUInt16LE(choices.of([3, 4, 2, 7, 13, 0xffff]), 12 * entry + 2)
    entries.writeUInt32LE(choices.of([1, 2, 0x7fffffff, 0xffffffff]), 12 * entry + 4)
    entries.writeUInt32LE(choices.of([8, 0, 1, 6, 9, 0xfffffff0, 8 + 12 * count]), 12 * entry + 8)
  }
  const head = Buffer.from([...Buffer.from('Exif\0\0II*\0'), 8, 0, 0, 0])
  const length = Buffer.alloc(2)
  length.writeUInt16LE(choices.of([count, 0xffff]))
  return segment(MARKER.app1, Buffer.concat([head, length, entries, Buffer.from([8, 0, 0, 0])]))
}

/** A profile in many parts of maximum size, numbered right or wrong. @param {Choices} choices */
function profile(choices) {
  const count = choices.between(2, 256)
  const numbers = choices.of([
    (/** @type {number} */ at) => [at + 1, count],
    () => [1, count],
    () => [0, 0],
    (/** @type {number} */ at) => [255 - at, 255],
  ])
  return Array.from({ length: count }, (_, at) =>
    segment(
      MARKER.app2,
      Buffer.concat([
        Buffer.from([...Buffer.from('ICC_PROFILE\0'), ...numbers(at)]),
        Buffer.alloc(SEGMENT - 14, choices.below(256)),
      ]),
    ),
  )
}

/**
 * Inserts segments into a valid file, before its frame.
 * @param {Buffer} sound
 * @param {readonly Buffer[]} segments
 */
function withSegments(sound, segments) {
  return Buffer.concat([sound.subarray(0, 2), ...segments, sound.subarray(2)])
}

/**
 * @param {{ jpeg: Buffer, progressiveJpeg: Buffer, photograph: Buffer }} sound
 * @returns {ImageKind[]}
 */
export function hostileJpegs(sound) {
  const sounds = Object.values(sound)
  return [
    {
      name: 'JPEG of 36 megapixels and thousands of scans',
      verdict: 'refused',
      make: (choices) => scanBomb(MEGAPIXELS_36, choices.between(1000, 4000), choices),
    },
    {
      name: "JPEG of the model's size and a million scans",
      verdict: 'refused',
      make: (choices) => scanBomb(OWN, choices.between(100_000, 1_000_000), choices),
    },
    {
      name: 'JPEG that announces more pixels than allowed',
      verdict: 'refused',
      make: (choices) => {
        const [width, height] = [choices.between(60_000, 65_536), choices.between(60_000, 65_536)]
        const file = flatJpeg({ ...OWN, sampling: 2, progressive: choices.below(2) === 0 })
        const at = segmentsOf(file).find((start) => [0xc0, 0xc2].includes(file[start + 1] ?? 0)) ?? 0
        file.writeUInt16BE(height, at + 5)
        file.writeUInt16BE(width, at + 7)
        return file
      },
    },
    {
      name: 'JPEG of 50 megapixels with the data of a small one',
      verdict: 'refused',
      make: (choices) => {
        const file = flatJpeg({ ...OWN, sampling: 2, progressive: choices.below(2) === 0 })
        const at = segmentsOf(file).find((start) => [0xc0, 0xc2].includes(file[start + 1] ?? 0)) ?? 0
        file.writeUInt16BE(choices.between(6000, 7000), at + 5)
        file.writeUInt16BE(choices.between(6000, 7000), at + 7)
        return file
      },
    },
    {
      name: 'JPEG with megabytes of comments and application data',
      make: (choices) => {
        const marker = choices.of([MARKER.com, MARKER.app1, 0xe3, 0xed, 0xef])
        const filled = segment(marker, Buffer.alloc(SEGMENT, choices.below(256)))
        return withSegments(choices.of(sounds), Array(choices.between(20, 200)).fill(filled))
      },
    },
    {
      name: 'JPEG with hundreds of thousands of tiny segments',
      make: (choices) => {
        const tiny = segment(choices.of([MARKER.com, 0xe1, 0xee]), choices.bytes(choices.below(3)))
        const count = choices.between(50_000, 500_000)
        return withSegments(choices.of(sounds), [Buffer.alloc(tiny.length * count, tiny)])
      },
    },
    {
      name: 'JPEG with tens of thousands of tables',
      make: (choices) => {
        const table = choices.of([quantization(choices.below(4)), huffman('ac', choices.below(4), 0)])
        const count = choices.between(10_000, 100_000)
        return withSegments(choices.of(sounds), [Buffer.alloc(table.length * count, table)])
      },
    },
    {
      name: 'JPEG with wrong or missing tables',
      make: (choices) => {
        const file = Buffer.from(sound.jpeg)
        const starts = segmentsOf(file).filter((start) => [0xc4, 0xdb].includes(file[start + 1] ?? 0))
        const at = choices.of(starts)
        const length = 2 + file.readUInt16BE(at + 2)
        if (choices.below(2) === 0) return Buffer.concat([file.subarray(0, at), file.subarray(at + length)])
        for (let times = 0; times < 8; times += 1) file[at + choices.between(4, length)] = choices.below(256)
        return file
      },
    },
    {
      name: 'JPEG with a restart at every block',
      make: (choices) => {
        const size = { width: choices.between(100, 6000), height: choices.between(100, 6000) }
        const interval = segment(MARKER.dri, [0, 1])
        const progressive = choices.below(2) === 0
        const markers = Array.from({ length: choices.below(100_000) }, (_, at) => [0xff, 0xd0 + (at % 8)])
        const file = flatJpeg({ ...size, progressive, extra: [interval] })
        return Buffer.concat([file.subarray(0, -2), Buffer.from(markers.flat()), bare(MARKER.eoi)])
      },
    },
    {
      name: 'JPEG that is arithmetic, lossless, hierarchical or of 12 bits',
      verdict: 'refused',
      make: (choices) => {
        const file = flatJpeg({ ...OWN, sampling: 2 })
        const at = segmentsOf(file).find((start) => file[start + 1] === MARKER.sof0) ?? 0
        if (choices.below(3) > 0) file[at + 1] = choices.of(UNSUPPORTED_FRAMES)
        else {
          file[at + 1] = choices.of([MARKER.sof1, MARKER.sof2])
          file[at + 4] = choices.of([12, 16, 2])
        }
        return file
      },
    },
    {
      name: 'JPEG with impossible components',
      make: (choices) => {
        const file = flatJpeg({ ...OWN, components: choices.of([1, 3, 4]), sampling: choices.of([1, 2, 4]) })
        const at = segmentsOf(file).find((start) => file[start + 1] === MARKER.sof0) ?? 0
        file[at + choices.between(9, 19)] = choices.of([0, 1, 2, 0x44, 0x4f, 0xf4, 0xff])
        return file
      },
    },
    {
      name: 'JPEG with frames in the middle of others',
      make: (choices) => {
        const size = () => ({ width: choices.between(1, 3000), height: choices.between(1, 3000) })
        const frames = Array.from({ length: choices.between(1, 50) }, () => frame(size()))
        const [first, second] = [flatJpeg({ ...size(), extra: frames }), choices.of(sounds)]
        return choices.below(2) === 0 ? first : Buffer.concat([first.subarray(0, -2), second])
      },
    },
    {
      name: 'JPEG with megabytes of profile',
      make: (choices) => withSegments(choices.of(sounds), profile(choices)),
    },
    {
      name: 'JPEG with looping EXIF',
      make: (choices) => withSegments(choices.of(sounds), [exif(choices)]),
    },
    {
      name: 'JPEG with fill bytes and bytes between segments',
      make: (choices) => {
        const filling = Buffer.alloc(choices.between(1, 5_000_000), choices.of([0xff, 0xff, 0x00, 0x41]))
        return withSegments(choices.of(sounds), [filling])
      },
    },
    {
      name: 'JPEG with wrong lengths',
      make: (choices) => {
        const file = Buffer.from(choices.of(sounds))
        for (let times = choices.between(1, 3); times > 0; times -= 1)
          uint16(choices.of([0, 1, 2, 3, 0x7fff, 0xffff])).copy(file, choices.of(segmentsOf(file)) + 2)
        return file
      },
    },
    {
      name: 'truncated JPEG',
      verdict: 'refused',
      make: (choices) => {
        const file = choices.of(sounds)
        return file.subarray(0, choices.between(3, Math.floor(file.length * 0.9)))
      },
    },
  ]
}
