import { readOrientation } from './exif.ts'

/** Markers of ITU T.81, table B.1, without their first byte. */
export const JPEG = {
  sof0: 0xc0,
  sof1: 0xc1,
  sof2: 0xc2,
  sof9: 0xc9,
  sof10: 0xca,
  dht: 0xc4,
  rst0: 0xd0,
  rst7: 0xd7,
  soi: 0xd8,
  eoi: 0xd9,
  sos: 0xda,
  dqt: 0xdb,
  dri: 0xdd,
  app0: 0xe0,
  app1: 0xe1,
  app14: 0xee,
  app15: 0xef,
  com: 0xfe,
} as const

export interface JpegFrame {
  /** The second byte of its marker, which identifies the coding. */
  readonly marker: number
  readonly bits: number
  readonly width: number
  readonly height: number
  readonly components: readonly JpegComponent[]
}

interface JpegComponent {
  readonly id: number
  /** Sampling factors. */
  readonly horizontal: number
  readonly vertical: number
}

interface JpegHead {
  readonly frame: JpegFrame
  /** The position of the first scan's marker. */
  readonly scanAt: number
  /** True if every decoder returns the same pixels: grey or RGB, upright, 8 bits, Huffman coding. */
  readonly plain: boolean
}

/** More segments than any camera or program writes before the first scan. */
const MAX_HEAD_SEGMENTS = 64
/** Standard progressive files have 10 scans, with one component 6. */
const MAX_PLAIN_SCANS = 20
/** No 8-bit file needs more: raw pixels have 3 bytes. Larger files are decoded in a separate process. */
const MAX_PLAIN_BYTES_PER_PIXEL = 6
const MAX_PLAIN_HEAD_BYTES = 2 ** 16
const HUFFMAN_FRAMES: readonly number[] = [JPEG.sof0, JPEG.sof1, JPEG.sof2]
const BETWEEN_SCANS: readonly number[] = [JPEG.dht, JPEG.dqt, JPEG.dri, JPEG.sos]

/**
 * The size of a plain JPEG, which the engine can decode unchanged: complete, no bytes after its end or between its
 * segments, few scans. Undefined for other files. Does not check that the scans can be decoded. Takes linear time.
 */
export function plainJpegSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const head = readJpegHead(file)
  if (head?.plain !== true) return undefined
  const { width, height } = head.frame
  const bound = MAX_PLAIN_HEAD_BYTES + width * height * MAX_PLAIN_BYTES_PER_PIXEL
  return file.length <= bound && hasOnlyScans(file, head.scanAt) ? { width, height } : undefined
}

/** Reads the segments before the first scan. Undefined if there are bytes between them, or too many segments. */
export function readJpegHead(file: Buffer): JpegHead | undefined {
  let frame: JpegFrame | undefined
  let plain = true
  let at = 2
  for (let count = 0; count < MAX_HEAD_SEGMENTS && at + 4 <= file.length; count++) {
    if (file[at] !== 0xff) return undefined
    const marker = file[at + 1] ?? 0
    if (marker === JPEG.sos) return frame && { frame, scanAt: at, plain }
    const end = at + 2 + file.readUInt16BE(at + 2)
    if (end < at + 4 || end > file.length) return undefined
    if (isFrame(marker)) {
      if (frame !== undefined) return undefined
      frame = readFrame(marker, file.subarray(at + 4, end))
      if (frame === undefined) return undefined
      const colours = frame.components.length
      plain &&= HUFFMAN_FRAMES.includes(marker) && frame.bits === 8 && (colours === 1 || colours === 3)
    } else if (marker === JPEG.app1) plain &&= (readApp1Orientation(file.subarray(at + 4, end)) ?? 1) === 1
    else if (!isIgnored(marker)) plain &&= BETWEEN_SCANS.includes(marker) || marker === JPEG.app0
    at = end
  }
  return undefined
}

/** Reads a frame header (B.2.2); undefined if its length does not match its components. */
export function readFrame(marker: number, body: Buffer): JpegFrame | undefined {
  const count = body[5] ?? 0
  if (count === 0 || body.length !== 6 + 3 * count) return undefined
  const components = Array.from({ length: count }, (_, index) => {
    const at = 6 + 3 * index
    const sampling = body[at + 1] ?? 0
    return { id: body[at] ?? 0, horizontal: sampling >> 4, vertical: sampling & 15 }
  })
  return { marker, bits: body[0] ?? 0, height: body.readUInt16BE(1), width: body.readUInt16BE(3), components }
}

/** True for SOF0 to SOF15. Three markers in this range are not frames. */
export function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== JPEG.dht && marker !== 0xc8 && marker !== 0xcc
}

export function isProgressive({ marker }: JpegFrame): boolean {
  return marker === JPEG.sof2 || marker === JPEG.sof10
}

/** The frames from SOF9 on are coded arithmetically, the others by Huffman codes. */
export function isArithmetic({ marker }: JpegFrame): boolean {
  return marker >= JPEG.sof9
}

export function isRestart(marker: number): boolean {
  return marker >= JPEG.rst0 && marker <= JPEG.rst7
}

/** True for comments and application data that affect no pixel: all except JFIF (APP0), EXIF (APP1) and Adobe (APP14). */
export function isIgnored(marker: number): boolean {
  if (marker === JPEG.com) return true
  return marker > JPEG.app1 && marker <= JPEG.app15 && marker !== JPEG.app14
}

/** Reads the orientation of an APP1 segment; undefined if it is not EXIF. */
export function readApp1Orientation(app1: Buffer): number | undefined {
  return app1.toString('latin1', 0, 6) === 'Exif\0\0' ? readOrientation(app1.subarray(6)) : undefined
}

/** True if the file has only scans and their tables from the first scan on, and ends with the end marker. */
function hasOnlyScans(file: Buffer, scanAt: number): boolean {
  const last = file.length - 2
  let scans = 0
  for (let at = scanAt; at >= 0 && at <= last;) {
    const marker = file[at + 1] ?? 0
    if (marker === 0 || isRestart(marker)) {
      at = file.indexOf(0xff, at + 2)
      continue
    }
    if (marker === JPEG.eoi) return at === last
    if (!BETWEEN_SCANS.includes(marker) || at + 4 > last) return false
    if (marker === JPEG.sos && ++scans > MAX_PLAIN_SCANS) return false
    const end = at + 2 + file.readUInt16BE(at + 2)
    // Scan data follows a scan header; the next segment follows a table.
    at = marker === JPEG.sos ? file.indexOf(0xff, end) : file[end] === 0xff ? end : -1
  }
  return false
}
