import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { withSavedModelFolder } from '../../../src/tensorflow/saved-model.ts'

const BYTES = Buffer.from('a graph')
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-saved-model-'))
  vi.stubEnv('TMPDIR', folder)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

/** The directories of this number of simultaneous SavedModels. */
async function folders(count: number): Promise<string[]> {
  if (count === 0) return []
  return withSavedModelFolder(BYTES, async (path) => {
    expect(await readFile(join(path, 'saved_model.pb'))).toEqual(BYTES)
    return [basename(path), ...(await folders(count - 1))]
  })
}

it('a SavedModel has its own directory while it is used, and directories are reused', async () => {
  const first = await folders(3)
  expect(new Set(first).size).toBe(3)
  expect(await readdir(folder)).toEqual([])
  expect(await folders(3)).toEqual(first)
})

it('a failed write leaves nothing and reports the reason', async () => {
  const failing = withSavedModelFolder(BYTES, () => Promise.reject(new Error('not loaded')))
  await expect(failing).rejects.toThrow('not loaded')
  expect(await readdir(folder)).toEqual([])
  vi.stubEnv('TMPDIR', join(folder, 'nowhere'))
  await expect(withSavedModelFolder(BYTES, () => undefined)).rejects.toThrow(/ENOENT/)
})
