import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ModelBody } from '../../support/client.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { stagedIn } from '../../support/staging.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

// A separate file system, which only root can mount.
let folder: string
let disk: string
let running: RunningService
const mount = (...words: string[]) => execFileSync('mount', words)
beforeAll(async () => {
  folder = await temporaryFolder()
  disk = join(folder, 'disk')
  await mkdir(disk)
  mount('-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', disk)
  running = await startService({}, disk)
})
afterAll(async () => {
  await running.close()
  execFileSync('umount', [disk])
  await rm(folder, { recursive: true })
})

const pixels = new Uint8Array(192).fill(9)
const logits = () => running.client.logits('kept', [1, 8, 8, 3], pixels)
const failed = (says: RegExp) => ({ status: 500, code: 'STORAGE_FAILED', says }) as const
let kept: number[][]

it('a full disk fails writes without partial files, and they succeed when there is space again', async () => {
  const { id } = await running.client.create({ ...tiny, name: 'kept' })
  await running.client.withDigest(id)
  kept = await logits()
  const { bytes } = await running.client.get('/v1/models/kept/weights')
  const part = { name: 'weights', value: bytes, filename: 'w' }
  const loaded = (await running.client.form('/v1/models', [part])).json as ModelBody
  await running.client.put('/v1/models/loaded', { id: loaded.id })
  const models = await readdir(join(disk, 'models'))
  const filler = join(disk, 'filler')
  const { bavail, bsize } = await statfs(disk)
  await writeFile(filler, Buffer.alloc(bavail * bsize))
  const full = failed(/data folder could not be written: its disk is full \(ENOSPC\)/)
  expectProblem(await running.client.post('/v1/models', { ...tiny, seed: 1, name: 'new' }), full)
  expectProblem(await running.client.form('/v1/models', [part]), full)
  expectProblem(await running.client.put('/v1/models/other', { id }), full)
  expectProblem(await running.client.get('/v1/models/loaded/savedmodel'), full)
  expect(await logits()).toEqual(kept)
  expect(await readdir(join(disk, 'models'))).toEqual(models)
  expect(await readdir(join(disk, 'names'))).toEqual(['kept', 'loaded'])
  expect(await stagedIn(disk)).toEqual([])
  await rm(filler)
  expect((await running.client.post('/v1/models', { ...tiny, seed: 1, name: 'new' })).status).toBe(201)
  expect((await running.client.delete('/v1/models/new')).status).toBe(204)
})

it('a read-only disk serves existing models and fails writes with its reason', async () => {
  mount('-o', 'remount,ro', disk)
  const readOnly = failed(/data folder could not be written: it is read-only \(EROFS\)/)
  expectProblem(await running.client.post('/v1/models', { ...tiny, seed: 2 }), readOnly)
  expectProblem(await running.client.delete('/v1/models/kept'), readOnly)
  expect(await logits()).toEqual(kept)
  expect((await running.client.get('/readyz')).status).toBe(200)
  const { status, stderr } = spawnSync(process.execPath, ['dist/main.js'], {
    env: { ...process.env, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'silent', DATA_DIR: disk },
    encoding: 'utf8',
  })
  expect(status).toBe(1)
  expect(stderr).toMatch(/^resinit cannot start: DATA_DIR=.*disk: .*it is read-only \(EROFS\)\n$/)
  mount('-o', 'remount,rw', disk)
  expect((await running.client.post('/v1/models', { ...tiny, seed: 2 })).status).toBe(201)
})
