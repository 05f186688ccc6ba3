import { isArithmetic, isProgressive, type JpegFrame } from './jpeg.ts'

export const BLOCK_SIDE = 8
/** A block of a sequential scan has at least one code for DC and one for AC, the end of the block. */
const MIN_SEQUENTIAL_BITS = 2
/** A block of a first DC scan has at least one bit. A run that ends blocks can cover nearly all of an AC scan. */
const MIN_PROGRESSIVE_DC_BITS = 1

/**
 * A lower bound of the coded bytes of a scan, from its header (ITU T.81, B.2.3). No valid scan is shorter. libvips accepts
 * missing data in the last rows that it reads, so an empty scan can pass its check.
 */
export function minScanBytes(frame: JpegFrame, header: Buffer): number {
  const blocks = countBlocks(frame, header)
  return Math.ceil((blocks * minBlockBits(frame, header)) / 8)
}

function minBlockBits(frame: JpegFrame, header: Buffer): number {
  if (isArithmetic(frame)) return 0
  if (!isProgressive(frame)) return MIN_SEQUENTIAL_BITS
  const [firstCoefficient, , refinement = 0] = header.subarray(1 + 2 * (header[0] ?? 0))
  const isFirstDc = firstCoefficient === 0 && refinement >> 4 === 0
  return isFirstDc ? MIN_PROGRESSIVE_DC_BITS : 0
}

/** The number of blocks of a scan (A.2), of one component or in whole MCUs. 0 if an id does not name one component. */
function countBlocks({ width, height, components }: JpegFrame, header: Buffer): number {
  const ids = Array.from({ length: header[0] ?? 0 }, (_, index) => header[1 + 2 * index])
  const scanned = components.filter(({ id }) => ids.includes(id))
  if (scanned.length !== ids.length) return 0
  const mcuWidth = BLOCK_SIDE * Math.max(...components.map(({ horizontal }) => horizontal))
  const mcuHeight = BLOCK_SIDE * Math.max(...components.map(({ vertical }) => vertical))
  const [first, ...others] = scanned
  if (first !== undefined && others.length === 0)
    return Math.ceil((width * first.horizontal) / mcuWidth) * Math.ceil((height * first.vertical) / mcuHeight)
  const mcus = Math.ceil(width / mcuWidth) * Math.ceil(height / mcuHeight)
  return mcus * scanned.reduce((sum, { horizontal, vertical }) => sum + horizontal * vertical, 0)
}
