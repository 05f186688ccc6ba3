import type { ImageFormat } from './decoder-contract.ts'

/** A file that says the same in a form that every decoder reads alike, and what decoding it takes. */
export interface NormalizedImage {
  readonly bytes: Buffer
  readonly format: ImageFormat
  /** As stored: before the orientation is applied. */
  readonly width: number
  readonly height: number
  /** EXIF's, 1 to 8. */
  readonly orientation: number
  /** Whether its four channels are inks. */
  readonly cmyk: boolean
  /** What the decoder holds of it at once, beside the file and the result. */
  readonly workingBytes: number
}
