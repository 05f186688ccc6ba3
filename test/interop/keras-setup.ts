import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import '../support/keras.ts'

const SERVER = fileURLToPath(new URL('keras_server.py', import.meta.url))

/** Starts one Keras server for all test files, since its imports take seconds. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const python = process.env['RESINIT_PYTHON']
  // An empty variable counts as unset.
  if (!python) {
    project.provide('kerasSocket', undefined)
    return undefined
  }
  const folder = await mkdtemp(join(tmpdir(), 'resinit-keras-'))
  const socket = join(folder, 'socket')
  const child = spawn(python, [SERVER, socket], { stdio: ['pipe', 'pipe', 'ignore'] })
  const exited = once(child, 'exit')
  const started = await Promise.race([once(child.stdout, 'data'), exited.then(() => undefined)])
  if (started === undefined) throw new Error(`${SERVER} ended before it listened`)
  project.provide('kerasSocket', socket)
  return async () => {
    child.stdin.end()
    await exited
    await rm(folder, { recursive: true })
  }
}
