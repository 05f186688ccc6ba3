import { execFileSync, spawnSync } from 'node:child_process'
import { mkdir, readdir, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { kill } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess } from '../../support/process.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

// Separate file systems, which only root can mount.
let folder: string
let disk: string
const mount = (...words: string[]) => execFileSync('mount', words)
beforeAll(async () => {
  folder = await temporaryFolder()
  disk = join(folder, 'disk')
  await mkdir(disk)
  mount('-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk)
})
afterAll(async () => {
  execFileSync('umount', [disk])
  await rm(folder, { recursive: true })
})

const cure = 'free space there, or set TMPDIR to a directory that this user can write'
const fill = async (path: string): Promise<void> => {
  const { bavail, bsize } = await statfs(path)
  await writeFile(join(path, 'filler'), Buffer.alloc(bavail * bsize))
}

describe('during operation', () => {
  let running: RunningService
  beforeAll(async () => {
    vi.stubEnv('TMPDIR', disk)
    running = await startService({}, join(folder, 'models'))
    await running.client.create({ ...tiny, name: 'kept' })
  })
  afterAll(async () => {
    await running.close()
    vi.unstubAllEnvs()
  })

  const failed = (reason: RegExp) => ({ status: 500, code: 'STORAGE_FAILED', says: reason }) as const
  const pixels = new Uint8Array(192).fill(9)
  const logits = () => running.client.logits('kept', [1, 8, 8, 3], pixels)
  const orthogonal = () => running.client.post('/v1/initializers/orthogonal/sample', { shape: [4, 4] })

  it('a full one fails the requests that need it, with the reason, and no others', async () => {
    const { client } = running
    const wanted = await logits()
    await fill(disk)
    const full = failed(
      /^the temporary directory \(TMPDIR\) could not be written: its disk is full \(ENOSPC\); free space there/,
    )
    expectProblem(await client.post('/v1/models', { ...tiny, seed: 1, name: 'new' }), full)
    expectProblem(await orthogonal(), full)
    expect((await client.get('/v1/models/new')).json).toMatchObject({
      state: 'failed',
      last_error: { code: 'STORAGE_FAILED' },
    })
    expect(await logits()).toEqual(wanted)
    expect((await client.get('/readyz')).status).toBe(200)
    await rm(join(disk, 'filler'))
    // The next request builds it.
    expect(await client.logits('new', [1, 8, 8, 3], pixels)).toHaveLength(1)
    expect((await orthogonal()).status).toBe(200)
    expect(await readdir(disk)).toEqual([])
  })

  it('a read-only one fails the same requests until it is writable again', async () => {
    mount('-o', 'remount,ro', disk)
    const create = (seed: number) => running.client.post('/v1/models', { ...tiny, seed })
    expectProblem(await create(2), failed(/\(TMPDIR\) could not be written: it is read-only \(EROFS\)/))
    mount('-o', 'remount,rw', disk)
    // The record was stored, so the same specification is the same model.
    expect((await create(2)).status).toBe(200)
  })

  it('a crashed engine reports why it does not restart, and restarts when there is space', async () => {
    await fill(disk)
    const { client, service } = running
    kill(service.engine.pid)
    await vi.waitUntil(() => service.engine.restarts >= 3, { interval: 50, timeout: 60_000 })
    expectProblem(await client.post('/v1/models', { ...tiny, seed: 3 }), {
      ...{ status: 503, code: 'ENGINE_UNAVAILABLE' },
      says: /^the engine cannot be started: the temporary directory \(TMPDIR\) could not be written: its disk is full/,
    })
    await rm(join(disk, 'filler'))
    await vi.waitUntil(() => service.engine.ready, { interval: 50, timeout: 60_000 })
    expect(await logits()).toHaveLength(1)
  })
})

describe('at the start one message names it and the remedy:', () => {
  const start = (TMPDIR: string) => {
    const { status, stderr } = spawnSync(process.execPath, ['dist/main.js'], {
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'silent',
        DATA_DIR: join(folder, 'data'),
        TMPDIR,
      },
      encoding: 'utf8',
    })
    return { status, stderr }
  }
  const refused = (path: string, reason: string) => ({
    status: 1,
    stderr: `resinit cannot start: TMPDIR=${path}: the temporary directory (TMPDIR) could not be written: ${reason}; ${cure}\n`,
  })

  it('a full disk', async () => {
    await fill(disk)
    expect(start(disk)).toEqual(refused(disk, 'its disk is full (ENOSPC)'))
    await rm(join(disk, 'filler'))
    expect(await readdir(disk)).toEqual([])
  })

  it('a disk without inodes', async () => {
    const path = join(folder, 'inodes')
    await mkdir(path)
    mount('-t', 'tmpfs', '-o', 'size=4m,nr_inodes=2', 'tmpfs', path)
    expect(start(path)).toEqual(refused(path, 'its disk is full (ENOSPC)'))
    execFileSync('umount', [path])
  })

  it('a read-only directory', () => {
    mount('-o', 'remount,ro', disk)
    expect(start(disk)).toEqual(refused(disk, 'it is read-only (EROFS)'))
    mount('-o', 'remount,rw', disk)
  })

  it('a missing directory, and a file', async () => {
    const none = join(folder, 'none')
    expect(start(none)).toEqual(refused(none, 'it does not exist and cannot be created (ENOENT)'))
    const file = join(folder, 'file')
    await writeFile(file, '')
    expect(start(file)).toEqual(refused(file, 'a part of its path is a file (ENOTDIR)'))
  })
})

it('without space in /dev/shm batches are sent through the channel', async () => {
  const script =
    'mount -t tmpfs -o size=4k tmpfs /dev/shm && echo full >/dev/shm/filler && exec "$0" dist/main.js'
  const running = await startProcess(
    { DATA_DIR: join(folder, 'data'), ENGINES: '1' },
    { command: ['unshare', '--mount', 'sh', '-c', script, process.execPath] },
  )
  await running.client.create({ ...tiny, name: 'net' })
  expect(await running.client.logits('net', [1, 8, 8, 3], new Uint8Array(192))).toHaveLength(1)
  expect(await running.stop()).toBe(0)
})
