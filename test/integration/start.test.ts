import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder, type Settings } from '../support/service.ts'

let folder: string
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true }))

function start(settings: Settings) {
  return spawn(process.execPath, ['dist/main.js'], {
    env: { ...process.env, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'silent', DATA_DIR: folder, ...settings },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}

describe('a start that fails names the setting:', () => {
  async function sentence(settings: Settings): Promise<string> {
    const child = start(settings)
    let text = ''
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
    expect(await once(child, 'exit')).toEqual([1, null])
    return text
  }

  it('a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const PORT = String((other.address() as AddressInfo).port)
    expect(await sentence({ PORT })).toMatch(new RegExp(`HOST=127.0.0.1 PORT=${PORT}: .*EADDRINUSE`))
    other.close()
  })

  it('a host that is none', async () => {
    expect(await sentence({ HOST: 'no.such.host.invalid', ALLOW_ANONYMOUS: 'true' })).toMatch(
      /HOST=no\.such\.host\.invalid PORT=0: /,
    )
  })

  it('a data folder where none can be made', async () => {
    expect(await sentence({ DATA_DIR: '/proc/x' })).toMatch(
      /DATA_DIR=\/proc\/x: the data folder could not be written: it is not there and cannot be made \(ENOENT\)\n$/,
    )
  })

  it('a specification to preload', async () => {
    const PRELOAD = join(folder, 'preload.json')
    await writeFile(PRELOAD, '{"architecture": "resnet20", "name": "net", "clases": 3}')
    expect(await sentence({ PRELOAD })).toMatch(
      /PRELOAD=.*: .*preload\.json: #\/clases is not a known field; did you mean "classes"\?\n$/,
    )
  })

  it('a data folder that is a file', async () => {
    const DATA_DIR = join(folder, 'file')
    await writeFile(DATA_DIR, '')
    expect(await sentence({ DATA_DIR })).toMatch(/DATA_DIR=.*file: the data folder could not be written/)
  })
})

it('a key that was made is shown, whatever the log hides', async () => {
  const child = start({ HOST: '0.0.0.0', LOG_LEVEL: 'error' })
  const [text] = (await once(child.stderr, 'data')) as [Buffer]
  expect(text.toString()).toMatch(/: [\w-]{32}\n/)
  child.kill('SIGKILL')
})

it('a stop that comes during the start ends it with 0', async () => {
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: { ...process.env, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', DATA_DIR: folder },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let log = ''
  child.stdout.on('data', (chunk: Buffer) => {
    log += chunk.toString()
    if (log.includes('Server listening') && !child.killed) child.kill()
  })
  expect(await once(child, 'close')).toEqual([0, null])
  expect(log).not.toContain('"msg":"ready"')
})
