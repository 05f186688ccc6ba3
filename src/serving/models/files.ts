import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { link, mkdir, open, rename, rm, stat, unlink, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UnusableFile } from '../../common/storage-errors.ts'

/** The code of a failed system call; undefined for other errors. */
export function errnoCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

/**
 * Creates a folder and its parents durably. Node's recursive mkdir never returns on a file system that rejects folders with
 * ENOENT, such as /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (errnoCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return
    const parent = dirname(path)
    if (errnoCode(error) !== 'ENOENT' || parent === path) throw error
    await makeFolder(parent)
    await mkdir(path).catch((again: unknown) => {
      if (errnoCode(again) !== 'EEXIST') throw again
    })
  }
  await syncFolder(dirname(path))
}

/** Writes a file atomically and durably: writes to the staging folder, fsync, rename, fsync of the folder. */
export async function writeDurably(path: string, text: string, stagingFolder: string): Promise<void> {
  const temporary = join(stagingFolder, randomUUID())
  try {
    await writeFile(temporary, text, { flag: 'wx', flush: true })
    await moveDurably(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** The errors of file systems without hard links. */
const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/**
 * Like `writeDurably`, but returns false if the file exists: of several concurrent callers one succeeds. Without hard links
 * two may succeed in rare cases; then the later file stays.
 */
export async function createDurably(path: string, text: string, stagingFolder: string): Promise<boolean> {
  const temporary = join(stagingFolder, randomUUID())
  try {
    await writeFile(temporary, text, { flag: 'wx', flush: true })
    try {
      await link(temporary, path)
    } catch (error) {
      if (errnoCode(error) === 'EEXIST') return false
      if (!NO_LINKS.includes(errnoCode(error))) throw error
      if (await exists(path)) return false
      await rename(temporary, path)
    }
    await syncFolder(dirname(path))
    return true
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Renames within one file system, durably. */
export async function moveDurably(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false
    throw error
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Errors of a path without a regular file, independent of permissions. */
const NO_FILE: Readonly<Record<string, string>> = {
  ELOOP: 'it is a symbolic link to itself',
  ENOTDIR: 'a part of its path is a file',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a device or a socket',
}

/** Opens a regular file of at most `maxBytes` for reading. Does not block on a FIFO. */
export async function openFile(path: string, maxBytes: number): Promise<FileHandle> {
  try {
    // Checked before opening: opening a device can have side effects.
    assertFile(await stat(path))
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const found = await file.stat()
      assertFile(found)
      if (found.size > maxBytes)
        throw new UnusableFile(`it has ${String(found.size)} bytes, the limit is ${String(maxBytes)}`)
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (error) {
    const reason = NO_FILE[errnoCode(error) ?? '']
    throw reason === undefined ? error : new UnusableFile(reason, { cause: error })
  }
}

/** Reads a regular file of at most `maxBytes`; undefined if there is none. */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const file = await openFile(path, maxBytes)
    try {
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function assertFile(found: Stats): void {
  if (found.isFile()) return
  const kinds = [
    [found.isDirectory(), 'a folder'],
    [found.isFIFO(), 'a FIFO'],
    [found.isSocket(), 'a socket'],
  ] as const
  throw new UnusableFile(`it is ${kinds.find(([is]) => is)?.[1] ?? 'a device'}, not a file`)
}

/** Removes a file durably. Returns false if there was none. */
export async function unlinkDurably(path: string): Promise<boolean> {
  try {
    await unlink(path)
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error
    // A missing folder is an error.
    await stat(dirname(path))
    return false
  }
  await syncFolder(dirname(path))
  return true
}
