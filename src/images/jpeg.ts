const START_OF_IMAGE = 0xffd8
const START_OF_SCAN = 0xda
/** Markers 0xC0 to 0xCF begin a frame, but for the tables of Huffman and arithmetic codes and an extension. */
const NOT_A_FRAME = [0xc4, 0xc8, 0xcc]

/**
 * The size a JPEG's frame header gives (ITU T.81, B.2.2), before any EXIF turn; undefined where the bytes hold none. A
 * hint: whether the rest can be decoded is another question.
 */
export function jpegSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength < 2 || view.getUint16(0) !== START_OF_IMAGE) return undefined
  // Every segment: its marker (2 bytes), its length without the marker (2 bytes), and so on.
  for (let offset = 2; offset + 9 <= view.byteLength; offset += 2 + view.getUint16(offset + 2)) {
    const marker = view.getUint8(offset + 1)
    if (view.getUint8(offset) !== 0xff || marker === START_OF_SCAN) return undefined
    if (marker >= 0xc0 && marker <= 0xcf && !NOT_A_FRAME.includes(marker))
      return { height: view.getUint16(offset + 5), width: view.getUint16(offset + 7) }
  }
  return undefined
}
