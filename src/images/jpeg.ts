const START_OF_IMAGE = 0xffd8
const END_OF_IMAGE = 0xffd9
/** What may stand before the scan of a JPEG that says nothing of its colours or its orientation. */
const TABLES = {
  quantization: 0xdb,
  huffman: 0xc4,
  restart: 0xdd,
  comment: 0xfe,
  jfif: 0xe0,
} as const
const PLAIN: readonly number[] = Object.values(TABLES)
/** Baseline, extended and progressive, all of them coded by Huffman. */
const FRAMES = [0xc0, 0xc1, 0xc2]
const START_OF_SCAN = 0xda

/**
 * The size of a plain JPEG (ITU T.81, B.2): whole to its end marker, 8 bits, grey or three components, nothing said of
 * profiles, inks or orientation. Every decoder gives its pixels alike. Undefined for any other bytes. Whether the scan
 * can be decoded is another question.
 */
export function plainJpegSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = view.byteLength - 2
  if (end < 2 || view.getUint16(0) !== START_OF_IMAGE || view.getUint16(end) !== END_OF_IMAGE)
    return undefined
  let size: { width: number; height: number } | undefined
  // Every segment: its marker (2 bytes), its length without the marker (2 bytes), and so on.
  for (let offset = 2; offset + 10 <= view.byteLength; offset += 2 + view.getUint16(offset + 2)) {
    const marker = view.getUint8(offset + 1)
    if (view.getUint8(offset) !== 0xff) return undefined
    if (marker === START_OF_SCAN) return size
    if (PLAIN.includes(marker)) continue
    if (size !== undefined || !FRAMES.includes(marker)) return undefined
    const [bits, components] = [view.getUint8(offset + 4), view.getUint8(offset + 9)]
    if (bits !== 8 || (components !== 1 && components !== 3)) return undefined
    size = { height: view.getUint16(offset + 5), width: view.getUint16(offset + 7) }
  }
  return undefined
}
