import { File, ready } from 'h5wasm/node'
import { ServiceError } from '../../common/errors.ts'
import { notKeras } from './problems.ts'

/** The functions of the library's file system, which are those of Node. */
interface LibraryFiles {
  open: (path: string, ...rest: readonly unknown[]) => unknown
  write: (stream: unknown, buffer: unknown, offset: number, length: number) => number
  readonly ErrnoError: new (code: number) => Error
}

const NOT_PERMITTED = 63

/** HDF5 as WebAssembly. It opens no file except in `openAlone`. */
export const library = await ready

const files = library.FS as unknown as LibraryFiles
const openFile = files.open
const refuse: LibraryFiles['open'] = () => {
  throw new files.ErrnoError(NOT_PERMITTED)
}
files.open = refuse
// The library prints each error to stderr.
files.write = (_stream, _buffer, _offset, length) => length

/**
 * Opens a file for reading by its absolute path, and no other. HDF5 files can name other files in external links,
 * virtual datasets and external storage.
 */
export function openAlone(path: string): File {
  files.open = (name, ...rest) => (name === path ? openFile(name, ...rest) : refuse(name))
  try {
    return attempt(() => {
      const file = new File(path, 'r')
      if (file.file_id <= 0n) throw notKeras('its HDF5 structure is damaged')
      return file
    })
  } finally {
    files.open = refuse
  }
}

/** Runs calls of the library. It throws errors of many kinds, also traps of WebAssembly. */
export function attempt<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw notKeras('its HDF5 structure is damaged')
  }
}
