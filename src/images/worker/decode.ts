import sharp, { type Sharp } from 'sharp'
import { isSideways } from '../exif.ts'
import {
  damaged,
  findResize,
  UnusableImage,
  type DecodedImage,
  type DecodeOptions,
  type DecoderLimits,
  type ImageFormat,
} from '../decoder-contract.ts'
import { normalizeJpeg } from '../normalize-jpeg.ts'
import { normalizePng } from '../normalize-png.ts'
import { normalizeWebp } from '../normalize-webp.ts'
import type { NormalizedImage } from '../normalized.ts'
import type { Size } from '../resized-size.ts'
import { placePixels, type Raster } from './place-pixels.ts'
import { countResizeBytes, resizeAndCrop } from './resize-and-crop.ts'

/** The file, and its parts that are not garbage-collected yet. */
const FILE_COPIES = 2
/** The decoded, the rotated and the serialized pixels. */
const RESULT_COPIES = 3
/** If the resized image would exceed this size, its centre is cropped before it is resized. */
const MAX_RESIZED_PIXELS = 2 ** 24
const VALIDATED_SIDE = 8
/**
 * Above this scale an image is rotated before it is resized: libvips aligns an enlarged image with its top left corner,
 * so rotating it afterwards would move its pixels. At or below this scale it is rotated after resizing: it has fewer
 * pixels then, and the JPEG decoder can already reduce it.
 */
const MIN_ROTATED_SCALE = 0.5
const normalizers: Readonly<Record<ImageFormat, (file: Buffer, maxPixels: number) => NormalizedImage>> = {
  jpeg: normalizeJpeg,
  png: normalizePng,
  webp: normalizeWebp,
}

// Enables only the libvips loaders of the normalized formats.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'],
})
sharp.cache(false)
sharp.concurrency(1)

/**
 * Decodes a file to pixels of the model's size: EXIF orientation applied, alpha flattened on black, grey expanded,
 * colours as stored. An image that already has the size keeps its pixels, unless the model resizes every image. Throws
 * UnusableImage if the file cannot be decoded.
 */
export async function decodeImage(
  file: Buffer,
  format: ImageFormat,
  options: DecodeOptions & DecoderLimits,
): Promise<DecodedImage> {
  const { shape, fit, maxPixels, maxBytes } = options
  const [height = 0, width = 0, channels = 3] = shape
  const image = normalizers[format](file, maxPixels)
  const sideways = isSideways(image.orientation)
  const size = sideways ? { width: image.height, height: image.width } : getSize(image)
  const untouched = size.width === width && size.height === height
  if (fit === 'exact' && !untouched) {
    throw new UnusableImage(
      `must be ${String(width)}x${String(height)} with fit=exact, got ${String(size.width)}x${String(size.height)}; resize it, or use fit=cover, fill or contain`,
    )
  }
  const target = { width, height, channels: channels === 1 ? 1 : 3 } as const
  const ownResize = findResize(options)
  const needed =
    FILE_COPIES * file.length +
    image.bytes.length +
    image.workingBytes +
    RESULT_COPIES * width * height * channels +
    (ownResize === null
      ? 0
      : size.width * size.height * (image.cmyk ? 4 : 3) + countResizeBytes(size, ownResize, target))
  if (needed > maxBytes) throw tooMuchMemory(needed, maxBytes)
  if (ownResize !== null) {
    const pixels = resizeAndCrop(await readRaster(image), image.orientation, ownResize, target)
    return { pixels, ...size, format }
  }
  if (!untouched && image.orientation !== 1 && scaleFor(size, target) > MIN_ROTATED_SCALE) {
    const stored = await readRaster(image)
    const rotated = { ...size, channels: 3 } as const
    const data = placePixels(stored, image.orientation, rotated)
    const raster = await resize(
      (change) => readPixels(change(sharp(data, { raw: rotated })), 3),
      rotated,
      target,
      fit,
    )
    return { pixels: placePixels(raster, 1, target), ...size, format }
  }
  const stored = sideways ? { width: height, height: width } : { width, height }
  const raster = untouched
    ? await readRaster(image)
    : await resize((change) => readRaster(image, change), image, stored, fit)
  return { pixels: placePixels(raster, image.orientation, target), ...size, format }
}

function getSize({ width, height }: Size): Size {
  return { width, height }
}

function tooMuchMemory(needed: number, maxBytes: number): UnusableImage {
  return new UnusableImage(
    `needs ${megabytes(needed)} MB to decode, more than the ${megabytes(maxBytes)} allowed (IMAGE_MEMORY_BYTES); send a smaller image, or one that is not progressive or interlaced`,
  )
}

function megabytes(bytes: number): string {
  return String(Math.ceil(bytes / 1e6))
}

type Change = (pipeline: Sharp) => Sharp

function scaleFor(from: Size, to: Size): number {
  return Math.max(to.width / from.width, to.height / from.height)
}

/**
 * Resizes the whole image before cropping its centre, because otherwise damage outside of the centre would be detected
 * for some models only. If the resized image would exceed MAX_RESIZED_PIXELS, as for a long narrow image, the whole
 * image is decoded once to detect damage; then its centre is cropped and resized.
 */
async function resize(
  read: (change: Change) => Promise<Raster>,
  from: Size,
  to: Size,
  fit: DecodeOptions['fit'],
): Promise<Raster> {
  const resized = ({ width, height }: Size, how: 'fill' | 'inside' | 'outside'): Promise<Raster> =>
    read((pipeline) => pipeline.resize(width, height, { fit: how }))
  if (fit === 'fill') return resized(to, fit)
  if (fit === 'contain') return resized(to, 'inside')
  const scale = scaleFor(from, to)
  if (from.width * scale * (from.height * scale) <= MAX_RESIZED_PIXELS) return resized(to, 'outside')
  await resized({ width: VALIDATED_SIDE, height: VALIDATED_SIDE }, 'fill')
  const centre = {
    width: Math.min(from.width, Math.ceil(to.width / scale)),
    height: Math.min(from.height, Math.ceil(to.height / scale)),
  }
  const left = Math.floor((from.width - centre.width) / 2)
  const top = Math.floor((from.height - centre.height) / 2)
  return read((pipeline) =>
    pipeline.extract({ left, top, ...centre }).resize(to.width, to.height, { fit: 'fill' }),
  )
}

function readRaster(
  { bytes, width, height, cmyk }: NormalizedImage,
  change: Change = (same) => same,
): Promise<Raster> {
  const pipeline = sharp(bytes, { limitInputPixels: width * height, failOn: 'warning' })
  // libvips would convert CMYK to RGB with its own profile.
  if (cmyk) return readPixels(change(pipeline.pipelineColourspace('cmyk').toColourspace('cmyk')), 4)
  return readPixels(change(pipeline.flatten({ background: '#000' }).toColourspace('srgb')), 3)
}

async function readPixels(pipeline: Sharp, channels: number): Promise<Raster> {
  try {
    const { data, info } = await pipeline.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
    if (info.channels !== channels) throw damaged()
    return { data, width: info.width, height: info.height, channels }
  } catch (error) {
    if (/memory/i.test((error as Error).message))
      throw new UnusableImage('needs more memory than IMAGE_MEMORY_BYTES allows; send a smaller image')
    throw damaged()
  }
}
