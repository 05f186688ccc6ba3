import { assertPixels, damaged, UnusableImage } from './decoder-contract.ts'
import {
  isFrame,
  isIgnored,
  isProgressive,
  isRestart,
  JPEG,
  readApp1Orientation,
  readFrame,
  type JpegFrame,
} from './jpeg.ts'
import { BLOCK_SIDE, minScanBytes } from './jpeg-scan-size.ts'
import type { NormalizedImage } from './normalized.ts'

/** Standard progressive files have 10 scans, some encoders write about 20. */
const MAX_SCANS = 100
/** Every scan visits every pixel: 20 scans of 50 megapixels take about the default IMAGE_TIMEOUT_MS. */
const MAX_SCANNED_PIXELS = 1e9
const MAX_SEGMENTS = 10_000
const COEFFICIENT_BYTES = 2
/** Version 1.01, no thumbnail. It tells decoders that three components are YCbCr. */
const JFIF = Buffer.from('ffe000104a46494600010100000100010000', 'hex')
const END = Buffer.from([0xff, JPEG.eoi])
const CODINGS: Readonly<Record<number, string>> = {
  0xc3: 'lossless',
  0xc5: 'hierarchical',
  0xc6: 'hierarchical',
  0xc7: 'lossless',
  0xcb: 'lossless',
  0xcd: 'hierarchical',
  0xce: 'hierarchical',
  0xcf: 'lossless',
}

/**
 * Removes the parts of a JPEG that make decoders differ or fail although the pixels are intact: comments, application data
 * except the colour markers of JFIF and Adobe, fill bytes, bytes between segments, progressive parameters of sequential
 * scans, and bytes after the end. Takes linear time.
 */
export function normalizeJpeg(file: Buffer, maxPixels: number): NormalizedImage {
  // The output has at most a JFIF segment more than the input.
  const out = Buffer.allocUnsafeSlow(file.length + JFIF.length)
  let filled = 0
  const write = (part: Buffer): void => {
    filled += part.copy(out, filled)
  }
  let frame: JpegFrame | undefined
  let orientation: number | undefined
  let hasJfif = false
  let adobe: Buffer | undefined
  let scans = 0
  let segments = 0
  let buffered = false
  write(file.subarray(0, 2))
  for (let at = findMarker(file, 2); ; at = findMarker(file, at)) {
    const marker = file[at + 1] ?? 0
    if (marker === JPEG.eoi) break
    if (isRestart(marker)) {
      at += 2
      continue
    }
    if (marker === JPEG.soi || at + 4 > file.length) throw damaged()
    // A length includes its own two bytes; libjpeg ignores smaller values.
    const end = at + 2 + Math.max(2, file.readUInt16BE(at + 2))
    if (end > file.length) throw damaged()
    const segment = file.subarray(at, end)
    const body = segment.subarray(4)
    at = end
    if (marker === JPEG.app0) hasJfif ||= body.length >= 14 && body.toString('latin1', 0, 5) === 'JFIF\0'
    else if (marker === JPEG.app1) orientation ??= scans === 0 ? readApp1Orientation(body) : undefined
    else if (marker === JPEG.app14) {
      if (body.length >= 12 && body.toString('latin1', 0, 5) === 'Adobe') adobe = segment
    } else if (!isIgnored(marker)) {
      if (++segments > MAX_SEGMENTS)
        throw new UnusableImage(`has more than ${String(MAX_SEGMENTS)} JPEG segments; save it again`)
      if (isFrame(marker)) {
        if (frame !== undefined) throw damaged()
        frame = readFrame(marker, body)
        if (frame === undefined) throw damaged()
        assertSupported(frame)
        assertPixels(frame.width, frame.height, maxPixels)
      }
      if (marker === JPEG.sos) {
        if (frame === undefined || body.length < 6) throw damaged()
        if (++scans === 1) {
          buffered = isProgressive(frame) || (body[0] ?? 0) < frame.components.length
          if (hasJfif) write(JFIF)
          if (adobe !== undefined) write(adobe)
        }
        assertScans(scans, frame)
        write(isProgressive(frame) ? segment : fixScanParameters(segment))
        const scan = copyEntropy(file, at, out, filled)
        if (scan.codedBytes < minScanBytes(frame, body)) throw damaged()
        at = scan.end
        filled = scan.filled
      } else write(segment)
    }
  }
  if (frame === undefined || scans === 0) throw damaged()
  write(END)
  return {
    ...{ bytes: out.subarray(0, filled), format: 'jpeg', orientation: orientation ?? 1 },
    ...{ width: frame.width, height: frame.height, cmyk: frame.components.length === 4 },
    workingBytes: buffered ? countCoefficientBytes(frame) : 0,
  }
}

/** Finds the next marker: some programs write bytes between segments. */
function findMarker(file: Buffer, from: number): number {
  for (let at = from; at + 1 < file.length; at++) {
    const next = file[at + 1]
    if (file[at] === 0xff && next !== 0xff && next !== 0) return at
  }
  throw damaged()
}

/** Copies a scan's data without fill bytes, up to the next marker. Counts the bytes before stuffing. */
function copyEntropy(
  file: Buffer,
  from: number,
  out: Buffer,
  filledBefore: number,
): { end: number; filled: number; codedBytes: number } {
  let filled = filledBefore
  let copied = from
  let uncoded = 0
  for (let at = from; at + 1 < file.length; at++) {
    if (file[at] !== 0xff) continue
    const next = file[at + 1] ?? 0
    if (next === 0xff) {
      filled += file.copy(out, filled, copied, at)
      copied = at + 1
    } else if (next === 0 || isRestart(next)) {
      uncoded += next === 0 ? 1 : 2
      at++
    } else {
      filled += file.copy(out, filled, copied, at)
      return { end: at, filled, codedBytes: filled - filledBefore - uncoded }
    }
  }
  throw damaged()
}

/** Sets the parameters of a sequential scan to the required values (Samsung cameras write Se 0). */
function fixScanParameters(segment: Buffer): Buffer {
  const scan = Buffer.from(segment)
  scan.set([0, BLOCK_SIDE ** 2 - 1, 0], scan.length - 3)
  return scan
}

function assertSupported({ marker, bits, width, height, components }: JpegFrame): void {
  const coding = CODINGS[marker]
  if (coding !== undefined)
    throw new UnusableImage(`is a ${coding} JPEG, which is not supported; save it as baseline JPEG`)
  if (bits !== 8)
    throw new UnusableImage(
      `is a JPEG of ${String(bits)} bits a sample (${String(bits)}-bit), which is not supported; save it with 8`,
    )
  if (height === 0)
    throw new UnusableImage(
      'is a JPEG that states its height after the scan (DNL), which is not supported; save it again',
    )
  if (width === 0) throw damaged()
  if (![1, 3, 4].includes(components.length))
    throw new UnusableImage(
      `is a JPEG of ${String(components.length)} colour components, which is not supported; save it as grey, RGB or CMYK`,
    )
  if (
    components.some(({ horizontal, vertical }) => [horizontal, vertical].some((side) => side < 1 || side > 4))
  )
    throw damaged()
}

function assertScans(scans: number, { width, height }: JpegFrame): void {
  const pixels = width * height
  const most = Math.min(MAX_SCANS, Math.max(1, Math.floor(MAX_SCANNED_PIXELS / pixels)))
  if (scans > most)
    throw new UnusableImage(
      `has more than ${String(most)} scans, the limit for ${String(pixels)} pixels; save it as baseline JPEG`,
    )
}

/** The coefficients of all components, which a decoder keeps in memory while it reads the scans. */
function countCoefficientBytes({ width, height, components }: JpegFrame): number {
  const most = (side: 'horizontal' | 'vertical'): number =>
    Math.max(...components.map((component) => component[side]))
  const units = (pixels: number, factor: number): number => Math.ceil(pixels / (BLOCK_SIDE * factor))
  const mcus = units(width, most('horizontal')) * units(height, most('vertical'))
  const blocks = components.reduce((sum, { horizontal, vertical }) => sum + horizontal * vertical, 0)
  return mcus * blocks * BLOCK_SIDE ** 2 * COEFFICIENT_BYTES
}
