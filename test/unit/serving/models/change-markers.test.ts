import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ChangeMarkers } from '../../../../src/serving/models/change-markers.ts'

let folder: string
let now: number
let [one, other]: ChangeMarkers[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-test-'))
  now = 0
  one = new ChangeMarkers(folder, () => now)
  other = new ChangeMarkers(folder, () => now + 1e9)
  for (const changes of [one, other]) await changes.read()
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const read = async (changes: ChangeMarkers | undefined): Promise<string[] | undefined> => {
  const changed = await changes?.read()
  return changed && [...changed].sort()
}

it('reports a marker once to other services and not to its own', async () => {
  await one?.announce('a')
  await one?.announce('b')
  await one?.announce('a')
  expect(await read(one)).toEqual([])
  expect(await read(other)).toEqual(['a', 'b'])
  expect(await read(other)).toEqual([])
  await other?.announce('a')
  expect(await read(one)).toEqual(['a'])
})

it('requires a full read at first and after a long interval', async () => {
  expect(await read(new ChangeMarkers(folder, () => now))).toBeUndefined()
  now += 3000
  expect(await read(one)).toEqual([])
  now += 5000
  expect(await read(one)).toBeUndefined()
  expect(await read(one)).toEqual([])
})

it('removes old markers of any service', async () => {
  await one?.announce('a')
  await mkdir(join(folder, 'stray'))
  for (let second = 0; second < 15; second += 1) {
    now += 1000
    await read(other)
  }
  expect(await readdir(folder)).toEqual([])
})

it('recreates a removed folder, and requires full reads if that fails', async () => {
  await rm(folder, { recursive: true })
  await one?.announce('a')
  expect(await read(other)).toEqual(['a'])
  await rm(folder, { recursive: true })
  await writeFile(folder, 'a file')
  await one?.announce('b')
  expect(await read(other)).toBeUndefined()
  await rm(folder)
  expect(await read(other)).toBeUndefined()
  expect(await read(other)).toEqual([])
})
