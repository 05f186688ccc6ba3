const ORIENTATION = 0x0112
const ENTRY_BYTES = 12
const UPRIGHT = 1
const LAST_ORIENTATION = 8
/** This EXIF orientation and all higher ones swap width and height. */
const FIRST_SIDEWAYS = 5
const SHORT = 3
const LONG = 4

/** Reads the orientation (1 to 8) from the TIFF block of EXIF; 1 if the block is invalid or has none. */
export function readOrientation(tiff: Buffer): number {
  const order = tiff.toString('latin1', 0, 4)
  if ((order !== 'II*\0' && order !== 'MM\0*') || tiff.length < 8) return UPRIGHT
  const little = order.startsWith('II')
  const read16 = (at: number): number => (little ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const read32 = (at: number): number => (little ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at))
  const directory = read32(4)
  if (directory + 2 > tiff.length) return UPRIGHT
  const entries = Math.min(read16(directory), Math.floor((tiff.length - directory - 2) / ENTRY_BYTES))
  for (let index = 0; index < entries; index++) {
    const entry = directory + 2 + index * ENTRY_BYTES
    if (read16(entry) !== ORIENTATION) continue
    const [type, count] = [read16(entry + 2), read32(entry + 4)]
    const value = type === SHORT ? read16(entry + 8) : type === LONG ? read32(entry + 8) : 0
    return count === 1 && value >= UPRIGHT && value <= LAST_ORIENTATION ? value : UPRIGHT
  }
  return UPRIGHT
}

export function isSideways(orientation: number): boolean {
  return orientation >= FIRST_SIDEWAYS
}
