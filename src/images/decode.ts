import sharp, { type Sharp } from 'sharp'
import { isSideways } from './exif.ts'
import { damaged, UnusableImage, type DecodedImage, type DecodeOptions, type ImageFormat } from './image.ts'
import { normalizeJpeg } from './normalize-jpeg.ts'
import { normalizePng } from './normalize-png.ts'
import { normalizeWebp } from './normalize-webp.ts'
import type { NormalizedImage } from './normalized.ts'
import { placePixels, type Raster } from './place.ts'

/** What one image may take, of what its parent lets the process have. */
const IMAGE_BYTES = 350e6
/** As it came, and as parts that are not collected yet. */
const FILE_COPIES = 2
/** Resized pixels beyond these are not made in order to be cut off. */
const MAX_RESIZED_PIXELS = 2 ** 24
const VALIDATED_SIDE = 8
const normalizers: Readonly<Record<ImageFormat, (file: Buffer) => NormalizedImage>> = {
  jpeg: normalizeJpeg,
  png: normalizePng,
  webp: normalizeWebp,
}

// Of libvips' loaders only those that a normalized file goes to.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'],
})
sharp.cache(false)
sharp.concurrency(1)

/**
 * A file to pixels of the model's size: EXIF orientation applied, alpha flattened on black, grey expanded, colours as they are
 * stored. An image that has the size already keeps its pixels. Throws UnusableImage where it cannot be used.
 */
export async function decodeImage(
  file: Buffer,
  format: ImageFormat,
  { shape, fit, maxPixels }: DecodeOptions,
): Promise<DecodedImage> {
  const [height = 0, width = 0, channels = 3] = shape
  const image = normalizers[format](file)
  const pixels = image.width * image.height
  if (pixels > maxPixels)
    throw new UnusableImage(
      `has ${String(pixels)} pixels, more than the ${String(maxPixels)} allowed (MAX_IMAGE_PIXELS); send a smaller image`,
    )
  const sideways = isSideways(image.orientation)
  const size = sideways ? { width: image.height, height: image.width } : pick(image)
  const untouched = size.width === width && size.height === height
  if (fit === 'exact' && !untouched) {
    throw new UnusableImage(
      `must be ${String(width)}x${String(height)} with fit=exact, got ${String(size.width)}x${String(size.height)}; resize it, or use fit=cover, fill or contain`,
    )
  }
  assertMemory(image, file.length)
  const stored = sideways ? { width: height, height: width } : { width, height }
  const raster = untouched ? await readRaster(image) : await readResized(image, stored, fit)
  const target = { width, height, channels: channels === 1 ? 1 : 3 } as const
  return { pixels: placePixels(raster, image.orientation, target), ...size, format }
}

interface Size {
  readonly width: number
  readonly height: number
}

function pick({ width, height }: Size): Size {
  return { width, height }
}

function assertMemory({ bytes, workingBytes }: NormalizedImage, fileBytes: number): void {
  const needed = FILE_COPIES * fileBytes + bytes.length + workingBytes
  if (needed > IMAGE_BYTES)
    throw new UnusableImage(
      `needs ${megabytes(needed)} MB to decode, more than the ${megabytes(IMAGE_BYTES)} allowed; send a smaller image, or one that is not progressive or interlaced`,
    )
}

function megabytes(bytes: number): string {
  return String(Math.ceil(bytes / 1e6))
}

/**
 * The whole image is resized before its middle is cut out: cut out first, damage in the rest would go unseen for some
 * models and not for others. A strip that would become too long is read once for its damage, then its middle.
 */
async function readResized(image: NormalizedImage, size: Size, fit: DecodeOptions['fit']): Promise<Raster> {
  if (fit === 'fill') return readRaster(image, (pipeline) => pipeline.resize(size.width, size.height, { fit }))
  if (fit === 'contain')
    return readRaster(image, (pipeline) => pipeline.resize(size.width, size.height, { fit: 'inside' }))
  const scale = Math.max(size.width / image.width, size.height / image.height)
  if (image.width * scale * (image.height * scale) <= MAX_RESIZED_PIXELS)
    return readRaster(image, (pipeline) => pipeline.resize(size.width, size.height, { fit: 'outside' }))
  await readRaster(image, (pipeline) => pipeline.resize(VALIDATED_SIDE, VALIDATED_SIDE, { fit: 'fill' }))
  const middle = {
    width: Math.min(image.width, Math.ceil(size.width / scale)),
    height: Math.min(image.height, Math.ceil(size.height / scale)),
  }
  const left = Math.floor((image.width - middle.width) / 2)
  const top = Math.floor((image.height - middle.height) / 2)
  return readRaster(image, (pipeline) =>
    pipeline.extract({ left, top, ...middle }).resize(size.width, size.height, { fit: 'fill' }),
  )
}

async function readRaster(
  { bytes, width, height, cmyk }: NormalizedImage,
  change: (pipeline: Sharp) => Sharp = (pipeline) => pipeline,
): Promise<Raster> {
  const pipeline = sharp(bytes, { limitInputPixels: width * height, failOn: 'warning' })
  // libvips would turn inks to RGB by a profile of its own.
  const coloured = cmyk
    ? pipeline.pipelineColourspace('cmyk').toColourspace('cmyk')
    : pipeline.flatten({ background: '#000' }).toColourspace('srgb')
  try {
    const { data, info } = await change(coloured)
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    if (info.channels !== (cmyk ? 4 : 3)) throw damaged()
    return { data, width: info.width, height: info.height, channels: info.channels }
  } catch (error) {
    if (/memory/i.test((error as Error).message))
      throw new UnusableImage(
        `needs more memory than the ${megabytes(IMAGE_BYTES)} MB allowed; send a smaller image`,
      )
    throw damaged()
  }
}
