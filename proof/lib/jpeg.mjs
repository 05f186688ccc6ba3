/** @typedef {{ components: readonly number[], tables?: number, from?: number, to?: number, high?: number, low?: number }} Scan */
/** @typedef {{ width: number, height: number, components?: number, sampling?: number, progressive?: boolean }} JpegSize */

export const MARKER = {
  ...{ sof0: 0xc0, sof1: 0xc1, sof2: 0xc2, dht: 0xc4, rst0: 0xd0, soi: 0xd8, eoi: 0xd9, sos: 0xda },
  ...{ dqt: 0xdb, dri: 0xdd, app0: 0xe0, app1: 0xe1, app2: 0xe2, com: 0xfe },
}
const BLOCK = 8
/** A run of blocks without coefficients: 2^14 plus the value of 14 more bits. */
const RUN = { symbol: 0xe0, blocks: 2 ** 14, bits: 15 }

/** A marker without a segment. @param {number} marker */
export const bare = (marker) => Buffer.from([0xff, marker])

/**
 * A marker with its segment.
 * @param {number} marker
 * @param {Buffer | readonly number[]} data
 */
export function segment(marker, data) {
  const bytes = Buffer.from(data)
  return Buffer.concat([bare(marker), uint16(bytes.length + 2), bytes])
}

/**
 * A frame header (ITU T.81, B.2.2). `sampling` is the factor of the first component in both directions; all
 * others have 1.
 * @param {JpegSize & { marker?: number, bits?: number }} frame
 */
export function frame({
  width,
  height,
  components = 3,
  sampling = 1,
  progressive,
  marker = progressive === true ? MARKER.sof2 : MARKER.sof0,
  bits = 8,
}) {
  const each = Array.from({ length: components }, (_, at) => [at + 1, at === 0 ? sampling * 17 : 17, 0])
  return segment(
    marker,
    Buffer.concat([
      Buffer.from([bits]),
      uint16(height),
      uint16(width),
      Buffer.from([components, ...each.flat()]),
    ]),
  )
}

/** A quantization table of ones. @param {number} [number] */
export const quantization = (number = 0) =>
  segment(MARKER.dqt, [number, ...Array.from({ length: 64 }, () => 1)])

/**
 * A Huffman table with one symbol, whose code is the bit 0.
 * @param {'dc' | 'ac'} kind
 * @param {number} number
 * @param {number} symbol
 */
export function huffman(kind, number, symbol) {
  const lengths = [1, ...Array.from({ length: 15 }, () => 0)]
  return segment(MARKER.dht, [(kind === 'dc' ? 0 : 16) + number, ...lengths, symbol])
}

/**
 * A scan header.
 * @param {Scan} scan
 */
export function scan({ components, tables = 0, from = 0, to = 63, high = 0, low = 0 }) {
  const each = components.flatMap((component) => [component, tables * 17])
  return segment(MARKER.sos, [components.length, ...each, from, to, high * 16 + low])
}

/**
 * A small valid image of uniform grey, with one bit per coded coefficient. A progressive one has one scan, of
 * DC only. `extra` precedes its scan, `more` follows it.
 * @param {JpegSize & { extra?: readonly Buffer[], more?: readonly Buffer[] }} image
 */
export function flatJpeg({ extra = [], more = [], ...size }) {
  const { components = 3, sampling = 1, progressive = false } = size
  const side = BLOCK * (components === 1 ? 1 : sampling)
  const units = Math.ceil(size.width / side) * Math.ceil(size.height / side)
  const blocks = components === 1 ? 1 : sampling ** 2 + components - 1
  const bits = units * blocks * (progressive ? 1 : 2)
  const numbers = Array.from({ length: components }, (_, at) => at + 1)
  return Buffer.concat([
    bare(MARKER.soi),
    segment(MARKER.app0, [...Buffer.from('JFIF\0'), 1, 1, 0, 0, 1, 0, 1, 0, 0]),
    quantization(),
    frame(size),
    huffman('dc', 0, 0),
    huffman('ac', 0, 0),
    ...extra,
    scan({ components: numbers, to: progressive ? 0 : 63 }),
    bitsOfZero(bits),
    ...more,
    bare(MARKER.eoi),
  ])
}

/**
 * A progressive image in which one scan is repeated after the first.
 * @param {JpegSize} size
 * @param {Buffer} one With its data; its table of AC, number 1, knows runs of blocks without coefficients
 * only.
 * @param {number} count
 */
export function manyScans(size, one, count) {
  const more = [huffman('ac', 1, RUN.symbol), Buffer.alloc(one.length * count, one)]
  return flatJpeg({ ...size, progressive: true, more })
}

/** A scan of AC of the first component without a coefficient. @param {JpegSize} size @param {Partial<Scan>} [range] */
export function emptyScan(size, range = {}) {
  const blocks = Math.ceil(size.width / BLOCK) * Math.ceil(size.height / BLOCK)
  const bits = Math.ceil(blocks / RUN.blocks) * RUN.bits
  return Buffer.concat([scan({ components: [1], tables: 1, from: 1, ...range }), bitsOfZero(bits)])
}

/** Zero bits, with the last byte filled with ones. @param {number} bits */
export function bitsOfZero(bits) {
  const bytes = Buffer.alloc(Math.ceil(bits / 8))
  const left = bits % 8
  if (left > 0) bytes[bytes.length - 1] = 0xff >> left
  return bytes
}

/**
 * Offsets of the segments before the first scan, and of the scan.
 * @param {Buffer} file
 */
export function segmentsOf(file) {
  const starts = []
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff; at += 2 + file.readUInt16BE(at + 2)) {
    starts.push(at)
    if (file[at + 1] === MARKER.sos) break
  }
  return starts
}

/** @param {number} value */
export function uint16(value) {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
