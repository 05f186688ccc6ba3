import type { ImageFormat } from './decoder-contract.ts'

/** An equivalent file that every decoder reads alike, and the memory needed to decode it. */
export interface NormalizedImage {
  readonly bytes: Buffer
  readonly format: ImageFormat
  /** The stored size, before applying the orientation. */
  readonly width: number
  readonly height: number
  /** The EXIF orientation, 1 to 8. */
  readonly orientation: number
  /** True if its four channels are CMYK. */
  readonly cmyk: boolean
  /** The decoder's memory in bytes, without the file and the result. */
  readonly workingBytes: number
}
