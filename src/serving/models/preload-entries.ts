import { stat, type FileHandle } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { ServiceError } from '../../common/errors.ts'
import { jsonProblem, parseJson } from '../../common/json-limits.ts'
import { UnusableFile } from '../../common/storage-errors.ts'
import { errnoCode, openFile } from './files.ts'

/** Larger than any specification, and than a weights file without its parameters. */
export const MAX_SPECIFICATION_BYTES = 2 ** 26

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not read it',
  ELOOP: 'it is a symbolic link to itself',
}

export async function isFolder(path: string): Promise<boolean> {
  return (await describeErrors(path, () => stat(path))).isDirectory()
}

/** Opens a file of PRELOAD. Errors name it. */
export function openEntry(path: string, maxBytes: number): Promise<FileHandle> {
  return describeErrors(path, () => openFile(path, maxBytes))
}

/** Reads a JSON file of PRELOAD. Errors name it. */
export async function readEntry(path: string): Promise<unknown> {
  const handle = await openEntry(path, MAX_SPECIFICATION_BYTES)
  const text = await handle.readFile().finally(() => handle.close())
  return withFile(path, () => readJson(text))
}

/** Adds the file to the errors of a check. */
export function withFile<R>(file: string, check: () => R): R {
  try {
    return check()
  } catch (error) {
    if (error instanceof ServiceError) throw entryError(file, error.message, error)
    throw error
  }
}

export function entryError(file: string, detail: string, cause?: unknown): Error {
  return new Error(`${file}: ${detail}`, { cause })
}

/** The name of a file without its extension. */
export function baseName(file: string): string {
  return basename(file, extname(file))
}

async function describeErrors<R>(path: string, read: () => Promise<R>): Promise<R> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof UnusableFile) throw entryError(path, error.message, error)
    const reason = REASONS[errnoCode(error) ?? '']
    throw reason === undefined ? error : entryError(path, reason, error)
  }
}

function readJson(text: Buffer): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    const problem = jsonProblem(error)
    const message = error instanceof Error ? error.message : String(error)
    // The message of JSON.parse contains the position.
    throw new ServiceError('MALFORMED_REQUEST', problem === message ? problem : `${problem}: ${message}`)
  }
}
