import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { endianness } from 'node:os'
import type { ServiceError } from '../common/errors.ts'

/** A file that is read in parts. */
export interface RegularFile {
  /** In bytes, when the file was opened. */
  readonly size: number
  /** Reads exactly `length` bytes. The buffer starts a separate memory, so that all typed arrays are aligned. */
  read(position: number, length: number): Promise<Buffer>
  close(): Promise<void>
}

if (endianness() !== 'LE') throw new Error('resinit requires a little-endian machine')

/** Opens a file. `invalid` creates the error for a path that is no regular file and for a file that is cut later. */
export async function openRegularFile(
  path: string,
  invalid: (reason: string) => ServiceError,
): Promise<RegularFile> {
  // Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = await file.stat()
    if (!found.isFile()) throw invalid('it is not a regular file')
    return {
      size: found.size,
      read: async (position, length) => {
        const buffer = Buffer.from(new ArrayBuffer(length))
        let done = 0
        while (done < length) {
          const { bytesRead } = await file.read(buffer, done, length - done, position + done)
          if (bytesRead === 0) throw invalid('the file ends too early')
          done += bytesRead
        }
        return buffer
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}
