import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { startService, temporaryFolder } from '../../support/service.ts'

const mkfifo = (path: string) => promisify(execFile)('mkfifo', [path])
const newId = (): string => randomBytes(32).toString('hex')

let folder: string
let running: ServiceProcess
let kept: ModelBody
let edited: ModelBody
const sockets: Server[] = []

async function listenAt(path: string): Promise<void> {
  const server = createServer().listen(path)
  await once(server, 'listening')
  sockets.push(server)
}

/** Kinds of unusable entries, by a short name, with a function that creates one. */
const kinds: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  'a link to itself': (path) => symlink(path, path),
  'a FIFO': mkfifo,
  'a device': (path) => symlink('/dev/zero', path),
  'a folder': (path) => mkdir(path),
  'a huge file': async (path) => {
    await writeFile(path, '')
    await truncate(path, 2 ** 40)
  },
  'binary garbage': (path) => writeFile(path, randomBytes(1000)),
  'half a record': (path) => writeFile(path, `{"id": "${newId()}", "spec`),
  'JSON of another shape': (path) => writeFile(path, '[{"id": null}]'),
}
/** The ids of unusable models, by their defect. */
const bad = new Map<string, string>()

async function spoilModels(models: string): Promise<void> {
  const place = (what: string): string => {
    const id = newId()
    bad.set(what, id)
    return join(models, id)
  }
  for (const [what, make] of Object.entries(kinds)) {
    await make(place(what))
    const folder = place(`a record that is ${what}`)
    await mkdir(folder)
    await make(join(folder, 'model.json'))
    const fact = place(`a seal that is ${what}`)
    await mkdir(fact)
    await writeFile(join(fact, 'model.json'), JSON.stringify({ ...(await recordOf(kept)), id: newId() }))
    await make(join(fact, 'seal.json'))
  }
  await listenAt(place('a socket'))
  await symlink('nowhere', place('a link to nowhere'))
  // A model's record under another id, and a record with edited fields.
  await mkdir(place("another model's record"))
  await writeFile(
    join(models, bad.get("another model's record") ?? '', 'model.json'),
    JSON.stringify({ ...(await recordOf(kept)), id: bad.get("another model's record") }),
  )
  const record = await recordOf(edited)
  bad.set('an edited record', edited.id)
  await writeFile(
    join(models, edited.id, 'model.json'),
    JSON.stringify({ ...record, specification: { ...record.specification, seed: 77 } }),
  )
}

async function recordOf({ id }: ModelBody): Promise<{ specification: object }> {
  const text = await readFile(join(folder, 'models', id, 'model.json'), 'utf8')
  return JSON.parse(text) as { specification: object }
}

const badNames = Object.keys(kinds).map((_, index) => `bad-${String(index)}`)

async function spoilNames(names: string): Promise<void> {
  for (const [index, make] of Object.values(kinds).entries()) await make(join(names, `bad-${String(index)}`))
  await listenAt(join(names, 'socket'))
  await writeFile(join(names, 'of-nothing'), newId())
  for (const name of ['a b', 'ü', 'a\nb', 'x.tmp', '-'.repeat(200), newId(), '.nfs00000000deadbeef'])
    await writeFile(join(names, name), kept.id)
}

beforeAll(async () => {
  folder = await temporaryFolder()
  const first = await startService({}, folder)
  kept = await first.client.create({ ...tiny, name: 'kept' })
  edited = await first.client.create({ ...tiny, seed: 5, name: 'edited' })
  await first.close()
  await spoilModels(join(folder, 'models'))
  await spoilNames(join(folder, 'names'))
  const staging = join(folder, 'staging')
  for (const [index, make] of Object.values(kinds).entries()) {
    await make(join(staging, `stray-${String(index)}`))
    await make(join(staging, `0000-${String(index)}.7.7.abc`))
  }
  await writeFile(join(folder, 'changes', 'stray'), '')
  await mkdir(join(folder, 'changes', `${'0'.repeat(36)}.folder`))
  running = await startProcess({ DATA_DIR: folder })
})
afterAll(async () => {
  await running.stop()
  for (const server of sockets) server.close()
  await rm(folder, { recursive: true })
})

const list = async (): Promise<ModelBody[]> =>
  ((await running.client.get('/v1/models')).json as { models: ModelBody[] }).models

it('unusable entries of every kind hide no models and no names', async () => {
  expect((await running.client.get('/readyz')).status).toBe(200)
  expect((await list()).map(({ id, names }) => [id, names])).toEqual([[kept.id, ['kept']]])
  expect(await running.client.logits('kept', [1, 8, 8, 3], new Uint8Array(192))).toHaveLength(1)
  for (const name of [...badNames, 'socket', 'of-nothing', 'edited'])
    expectProblem(await running.client.get(`/v1/models/${name}`), { status: 404, code: 'MODEL_NOT_FOUND' })
})

it('each is logged once over all reads, and counted', async () => {
  // Every change triggers a full read of the folder.
  for (const seed of [1, 2, 3]) {
    await running.client.create({ ...tiny, seed, name: `more-${String(seed)}` })
    await new Promise((resolve) => setTimeout(resolve, 700))
  }
  const logged = running.log
    .filter(({ msg }) => msg.includes('cannot be used'))
    .map(({ entry }) => String(entry))
  expect(new Set(logged).size).toBe(logged.length)
  for (const id of bad.values()) expect(logged).toContain(`models/${id}`)
  for (const name of badNames) expect(logged).toContain(`names/${name}`)
  expect(logged).not.toContain('names/.nfs00000000deadbeef')
  const [, count] =
    /^resinit_bad_entries (\d+)$/m.exec((await running.client.get('/metrics')).bytes.toString()) ?? []
  expect(Number(count)).toBe(logged.length)
})

describe('the service continues', () => {
  it('creates names in place of unusable entries', async () => {
    for (const name of badNames) {
      expect((await running.client.post('/v1/models', { ...tiny, name })).status).toBe(200)
      expect((await running.client.get(`/v1/models/${name}`)).json).toMatchObject({ id: kept.id })
      expect((await running.client.delete(`/v1/models/${name}`)).status).toBe(204)
    }
    for (const [index, make] of Object.values(kinds).entries()) {
      const name = `put-${String(index)}`
      await make(join(folder, 'names', name))
      expect((await running.client.put(`/v1/models/${name}`, { id: kept.id })).status).toBe(201)
      expect((await running.client.get(`/v1/models/${name}`)).json).toMatchObject({ id: kept.id })
    }
  })

  it('creates the model with an edited record again', async () => {
    const again = await running.client.post('/v1/models', { ...tiny, seed: 5, name: 'edited' })
    expect([again.status, (again.json as ModelBody).spec.seed]).toEqual([201, 5])
    expect((await running.client.delete(`/v1/models/${edited.id}`)).status).toBe(204)
    bad.delete('an edited record')
  })

  it('deletes an unusable model by its id', async () => {
    for (const [what, id] of bad) {
      expect((await running.client.delete(`/v1/models/${id}`)).status, what).toBe(204)
      expectProblem(await running.client.delete(`/v1/models/${id}`), { status: 404, code: 'MODEL_NOT_FOUND' })
    }
    const left = await readdir(join(folder, 'models'))
    expect(left.filter((id) => [...bad.values()].includes(id))).toEqual([])
  })

  it('recreates removed folders for names, staging and changes', async () => {
    for (const part of ['staging', 'names', 'changes']) {
      // The service may write into the folder at the same time.
      await rm(join(folder, part), { recursive: true, maxRetries: 5 })
      const name = `without-${part}`
      const made = await running.client.post('/v1/models', { ...tiny, seed: 9, name })
      expect([200, 201], made.bytes.toString()).toContain(made.status)
      expect((await list()).map(({ id }) => id)).toContain(kept.id)
      expect((await running.client.delete(`/v1/models/${name}`)).status).toBe(204)
    }
  })
})

it('models are served while their folder cannot be read, which is logged once', async () => {
  const unread = () => running.log.filter(({ msg }) => msg.includes('cannot be read; the known models stay'))
  expect(unread()).toEqual([])
  const [models, away] = [join(folder, 'models'), join(folder, 'away')]
  await rename(models, away)
  await symlink('models', models)
  await expect.poll(() => unread().length, { timeout: 30_000 }).toBe(1)
  await new Promise((resolve) => setTimeout(resolve, 1700))
  expect((await list()).map(({ id }) => id)).toContain(kept.id)
  expect((await running.client.get(`/v1/models/${kept.id}`)).json).toMatchObject({ id: kept.id })
  expectProblem(await running.client.post('/v1/models', { ...tiny, seed: 10 }), {
    status: 500,
    code: 'STORAGE_FAILED',
    says: /a symbolic link in it leads to itself/,
  })
  expect(unread()).toHaveLength(1)
  await rm(models)
  await rename(away, models)
  expect((await running.client.post('/v1/models', { ...tiny, seed: 10 })).status).toBe(201)
})

it('an unreadable data folder stops the start with a message', async () => {
  const broken = await temporaryFolder()
  await symlink('models', join(broken, 'models'))
  await expect(startProcess({ DATA_DIR: broken })).rejects.toThrow(
    /cannot start: DATA_DIR=\S+: the data folder could not be written: a symbolic link in it leads to itself \(ELOOP\)/,
  )
  await rm(broken, { recursive: true })
})
