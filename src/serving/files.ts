import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** What a system call said, or undefined where it was none. */
export function codeOf(error: unknown): string | undefined {
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
    if (codeOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return
    const above = dirname(path)
    if (codeOf(error) !== 'ENOENT' || above === path) throw error
    await makeFolder(above)
    await mkdir(path).catch((again: unknown) => {
      if (codeOf(again) !== 'EEXIST') throw again
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
      if (codeOf(error) === 'EEXIST') return false
      if (!NO_LINKS.includes(codeOf(error))) throw error
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
    if (codeOf(error) === 'ENOENT') return false
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

/** What a file holds; undefined where there is none. */
export async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Removes a file for good; says whether there was one. */
export async function unlinkDurably(path: string): Promise<boolean> {
  try {
    await unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    // Where there is no folder at all, nothing was removed.
    await stat(dirname(path))
    return false
  }
  await syncFolder(dirname(path))
  return true
}
