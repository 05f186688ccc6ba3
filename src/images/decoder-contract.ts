import { fieldError, type ServiceError } from '../common/errors.ts'

export type Fit = 'cover' | 'fill' | 'contain' | 'exact'
export type ImageFormat = 'jpeg' | 'png' | 'webp'

export interface DecodeOptions {
  /** [height, width, channels] of the model's input. */
  readonly shape: readonly number[]
  readonly fit: Fit
  readonly maxPixels: number
}

/** What the process that decodes is told beside. */
export interface DecoderLimits {
  /** Memory that one image may take, the process itself aside. */
  readonly maxBytes: number
}

export interface DecodedImage {
  /** uint8 [height, width, channels]. */
  readonly pixels: Uint8Array
  /** Of the upload, after its EXIF orientation. */
  readonly width: number
  readonly height: number
  readonly format: ImageFormat
}

/** What a decoder process answers to its parent. */
export interface DecoderMethods {
  /** Takes a part of the file that the next `decode` reads; the part at 0 begins a new file of this length. */
  receive(part: Uint8Array, offset: number, fileLength: number): Promise<void>
  /** Decodes the file that was received. INVALID_IMAGE at `pointer` where that is impossible. */
  decode(
    pointer: string,
    options: DecodeOptions & DecoderLimits,
  ): Promise<DecodedImage & { readonly residentBytes: number }>
}

/** What is wrong with a file; the caller adds where it stood in the request. */
export class UnusableImage extends Error {}

export function damaged(): UnusableImage {
  return new UnusableImage('is damaged or cut off and cannot be decoded; send the whole file')
}

/** Called as soon as a header says the size. */
export function assertPixels(width: number, height: number, maxPixels: number): void {
  const pixels = width * height
  if (pixels > maxPixels)
    throw new UnusableImage(
      `has ${String(pixels)} pixels, more than the ${String(maxPixels)} allowed (MAX_IMAGE_PIXELS); send a smaller image`,
    )
}

export function invalidImage(pointer: string, detail: string): ServiceError {
  return fieldError(pointer, detail, 'INVALID_IMAGE')
}

/** The format by the file's own first bytes, whatever type the request gives it. */
export function detectFormat(bytes: Uint8Array): ImageFormat | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 12)).toString('latin1')
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg'
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png'
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'webp' : undefined
}
