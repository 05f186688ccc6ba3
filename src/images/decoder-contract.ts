import { fieldError, type ServiceError } from '../common/errors.ts'

export type Fit = 'cover' | 'fill' | 'contain' | 'exact'
export type ImageFormat = 'jpeg' | 'png' | 'webp'

export type Interpolation = 'bilinear' | 'bicubic' | 'lanczos' | 'nearest'

/** How images are resized before their centre is cropped. */
export interface Resize {
  readonly short_side: number
  readonly interpolation: Interpolation
}

export interface DecodeOptions {
  /** [height, width, channels] of the model's input. */
  readonly shape: readonly number[]
  readonly fit: Fit
  /** The model's own resizing for fit=cover; other fits ignore it. */
  readonly resize: Resize | null
  readonly maxPixels: number
}

/** Additional options for the decoder process. */
export interface DecoderLimits {
  /** The memory limit for one image, without the memory of the process itself. */
  readonly maxBytes: number
}

export interface DecodedImage {
  /** uint8 [height, width, channels]. */
  readonly pixels: Uint8Array
  /** The size of the upload, after applying its EXIF orientation. */
  readonly width: number
  readonly height: number
  readonly format: ImageFormat
}

/** The methods of a decoder process. */
export interface DecoderMethods {
  /** Receives a part of the file for the next `decode`. The part at offset 0 begins a new file of this length. */
  receive(part: Uint8Array, offset: number, fileLength: number): Promise<void>
  /** Decodes the received file. Rejects with INVALID_IMAGE at `pointer` if that is impossible. */
  decode(
    pointer: string,
    options: DecodeOptions & DecoderLimits,
  ): Promise<DecodedImage & { readonly residentBytes: number }>
}

/** The model's own resizing if the fit uses it. Every image is resized then, also one of the model's size. */
export function findResize({ fit, resize }: Pick<DecodeOptions, 'fit' | 'resize'>): Resize | null {
  return fit === 'cover' ? resize : null
}

/** The defect of a file. The caller adds its position in the request. */
export class UnusableImage extends Error {}

export function damaged(): UnusableImage {
  return new UnusableImage('is damaged or cut off and cannot be decoded; send the whole file')
}

/** Call it as soon as the header is read. */
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

/** Detects the format by the file's first bytes, regardless of the request's content type. */
export function detectFormat(bytes: Uint8Array): ImageFormat | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 12)).toString('latin1')
  if (head.startsWith('\xff\xd8\xff')) return 'jpeg'
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png'
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'webp' : undefined
}
