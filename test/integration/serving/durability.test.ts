import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'

type Step = readonly [what: string, path: string, to?: string]

let folder: string
let data: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-test-'))
  data = join(folder, 'data')
  running = await startProcess({
    DATA_DIR: data,
    NODE_OPTIONS: `--import=${new URL('../../support/record-writes.mjs', import.meta.url).href}`,
    RESINIT_TEST_WRITES: join(folder, 'writes'),
  })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

/** The file system calls of the service so far. */
async function steps(): Promise<Step[]> {
  const lines = (await readFile(join(folder, 'writes'), 'utf8')).trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Step)
}

/** The position of a step after another one; throws if there is none. */
function after(all: readonly Step[], from: number, ...[what, path]: Step): number {
  const index = all.findIndex((step, place) => place > from && step[0] === what && step[1] === path)
  if (index < 0)
    throw new Error(`no "${what}" of ${path} after step ${String(from)} of ${JSON.stringify(all)}`)
  return index
}

/**
 * Asserts for a folder that its file and itself were synced in staging, then renamed, then its parent was
 * synced.
 */
function expectDurable(all: readonly Step[], path: string, file: string): void {
  const renamed = all.findLastIndex(([what, , to]) => what === 'renamed' && to === path)
  const aside = all[renamed]?.[1] ?? `what became ${path}`
  const inside = join(aside, file)
  const written = after(all, after(all, -1, 'sync', inside), 'sync done', inside)
  const synced = after(all, after(all, written, 'sync', aside), 'sync done', aside)
  expect(after(all, synced, 'rename', aside)).toBeLessThan(renamed)
  const folderSync = after(all, renamed, 'sync', dirname(path))
  expect(after(all, folderSync, 'sync done', dirname(path))).toBeGreaterThan(folderSync)
}

/** Asserts for a file that it was synced in staging, then linked, then its folder was synced. */
function expectCreated(all: readonly Step[], path: string): void {
  const linked = all.findIndex(([what, , to]) => what === 'linked' && to === path)
  const aside = all[linked]?.[1] ?? `what became ${path}`
  expect(after(all, after(all, -1, 'sync', aside), 'sync done', aside)).toBeLessThan(linked)
  const folderSync = after(all, linked, 'sync', dirname(path))
  expect(after(all, folderSync, 'sync done', dirname(path))).toBeGreaterThan(folderSync)
}

describe('an acknowledged change survives a loss of power:', () => {
  it('a model and its name', async () => {
    const { id } = await running.client.create({ ...tiny, name: 'net' })
    await running.client.withDigest(id)
    const all = await steps()
    const models = join(data, 'models')
    expectDurable(all, join(models, id), 'model.json')
    expectCreated(all, join(data, 'names', 'net'))
    for (const fact of ['seal', 'weights_sha256']) expectCreated(all, join(models, id, `${fact}.json`))
  })

  it('uploaded weights, before the record that refers to them', async () => {
    const { bytes } = await running.client.get('/v1/models/net/weights')
    const part = { name: 'weights', value: bytes, filename: 'w' }
    const { id } = (await running.client.form('/v1/models', [part])).json as ModelBody
    const all = await steps()
    const folder = join(data, 'models', id)
    expectDurable(all, folder, 'model.json')
    // The uploaded file was synced in staging and moved with the folder.
    const aside = all.find(([what, , to]) => what === 'renamed' && to === folder)?.[1] ?? ''
    const arrived = all.findIndex(
      ([what, , to]) => what === 'renamed' && to === join(aside, 'weights.safetensors'),
    )
    const uploaded = all[arrived]?.[1] ?? ''
    expect(after(all, -1, 'sync done', uploaded)).toBeLessThan(arrived)
    expect(arrived).toBeLessThan(after(all, -1, 'rename', aside))
  })
})
