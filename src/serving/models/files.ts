import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { link, mkdir, open, rename, rm, stat, unlink, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UnusableFile } from '../../common/storage-errors.ts'

/** What a system call said, or undefined where it was none. */
export function errnoCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

/**
 * A folder with those above it, their names made to last. Node's own recursive mkdir never ends where a file system makes
 * no folders and says so with ENOENT, as /proc does.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    if (errnoCode(error) === 'EEXIST' && (await stat(path)).isDirectory()) return
    const above = dirname(path)
    if (errnoCode(error) !== 'ENOENT' || above === path) throw error
    await makeFolder(above)
    await mkdir(path).catch((again: unknown) => {
      if (errnoCode(again) !== 'EEXIST') throw again
    })
  }
  await syncFolder(dirname(path))
}

/** Writes a file so that after a crash it is there whole or not at all: write aside, fsync, rename, fsync the folder. */
export async function writeDurably(path: string, text: string, aside: string): Promise<void> {
  const temporary = join(aside, randomUUID())
  try {
    await writeFile(temporary, text, { flag: 'wx', flush: true })
    await moveDurably(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** File systems that have no hard links say so in these ways. */
const NO_LINKS: readonly (string | undefined)[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/**
 * The same unless there is such a file: of several who try, one succeeds, and the others are told false. Without hard
 * links it is seldom that two succeed, and then the later one stays.
 */
export async function createDurably(path: string, text: string, aside: string): Promise<boolean> {
  const temporary = join(aside, randomUUID())
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

/** Renames within one file system and makes the new name last. */
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

/** Errors of a path that leads to no file, whoever may read it. */
const NO_FILE: Readonly<Record<string, string>> = {
  ELOOP: 'it is a symbolic link that leads to itself',
  ENOTDIR: 'a part of its path is a file',
  EISDIR: 'it is a folder',
  ENXIO: 'it is a device or a socket',
}

/** Opens a regular file of at most `maxBytes` to be read; waits for no FIFO. */
export async function openFile(path: string, maxBytes: number): Promise<FileHandle> {
  try {
    // Looked at before it is opened: opening a device can have effects.
    assertFile(await stat(path))
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const found = await file.stat()
      assertFile(found)
      if (found.size > maxBytes)
        throw new UnusableFile(`it has ${String(found.size)} bytes, more than ${String(maxBytes)}`)
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

/** What a regular file of at most `maxBytes` holds; undefined where there is none. */
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
  throw new UnusableFile(`it is ${kinds.find(([is]) => is)?.[1] ?? 'a device'}, no file`)
}

/** Removes a file for good; says whether there was one. */
export async function unlinkDurably(path: string): Promise<boolean> {
  try {
    await unlink(path)
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error
    // Where there is no folder at all, nothing was removed.
    await stat(dirname(path))
    return false
  }
  await syncFolder(dirname(path))
  return true
}
