import type { FileHandle } from 'node:fs/promises'

/** Writes all bytes at a position of a file. A single write may write fewer. */
export async function writeAll(
  file: FileHandle,
  values: Uint8Array | Float32Array,
  position: number,
): Promise<void> {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
