import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Staging } from '../../../../src/serving/models/staging.ts'

const MINUTE = 60_000

let folder: string
let now: number
let staging: Staging
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-test-'))
  now = 0
  staging = await Staging.open(folder, () => now)
})
afterEach(async () => {
  await staging.close()
  await rm(folder, { recursive: true })
})

/** The folder of a service on another host. */
const foreign = '0000-1.7.7.abc'
const others = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => join(folder, name) !== staging.path)
async function passes(minutes: number): Promise<void> {
  now += minutes * MINUTE
  await staging.heartbeat()
}

it('keeps files of a service on another host while it sends heartbeats, whatever its clock', async () => {
  const path = join(folder, foreign)
  await mkdir(path)
  for (const date of [new Date(), new Date(0), new Date('2100-01-01'), new Date(1)]) {
    await utimes(path, date, date)
    await passes(4)
    expect(await others()).toEqual([foreign])
  }
  await passes(4)
  expect(await others()).toEqual([foreign])
  await passes(4)
  expect(await others()).toEqual([])
})

it('removes files of ended processes of this host and files without an owner at once', async () => {
  const [table] = (await readdir(folder))[0]?.split('.') ?? []
  // This process has another start time; the other pid does not exist.
  for (const name of [`${String(table)}.${String(process.pid)}.1.abc`, `${String(table)}.999999999.1.abc`]) {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'half'), 'half')
  }
  await writeFile(join(folder, 'stray'), '')
  const second = await Staging.open(folder, () => now)
  expect(await others()).toEqual([second.path.slice(folder.length + 1)])
  await second.close()
  expect(await others()).toEqual([])
})

it('recreates its directory if another service removed it', async () => {
  await rm(staging.path, { recursive: true })
  await passes(1)
  await writeFile(staging.createTemp().path, 'fits')
  expect(await readdir(staging.path)).toHaveLength(1)
})
