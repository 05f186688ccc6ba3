import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, temporaryFolder, type Settings } from '../../support/service.ts'

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

describe('a failed start names the setting:', () => {
  async function sentence(settings: Settings): Promise<string> {
    const child = start(settings)
    let text = ''
    child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
    expect(await once(child, 'exit')).toEqual([1, null])
    return text
  }

  it('a port in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const PORT = String((other.address() as AddressInfo).port)
    expect(await sentence({ PORT })).toMatch(new RegExp(`HOST=127.0.0.1 PORT=${PORT}: .*EADDRINUSE`))
    other.close()
  })

  it('an invalid host', async () => {
    expect(await sentence({ HOST: 'no.such.host.invalid', ALLOW_ANONYMOUS: 'true' })).toMatch(
      /HOST=no\.such\.host\.invalid PORT=0: /,
    )
  })

  it('a missing key file, or an invalid line', async () => {
    expect(await sentence({ API_KEYS_FILE: join(folder, 'none') })).toMatch(
      /^resinit cannot start: API_KEYS_FILE=.*none: ENOENT/,
    )
    expect(await sentence({ API_KEYS_FILE: folder })).toMatch(/API_KEYS_FILE=.*: it is not a file/)
    execFileSync('mkfifo', [join(folder, 'fifo')])
    expect(await sentence({ API_KEYS_FILE: join(folder, 'fifo') })).toMatch(
      /API_KEYS_FILE=.*: it is not a file/,
    )
    const API_KEYS_FILE = join(folder, 'keys')
    await writeFile(API_KEYS_FILE, '# team\n{"name": "team", "sha256": "secret", "scopes": ["read"]}\n')
    expect(await sentence({ API_KEYS_FILE })).toMatch(
      /^resinit cannot start: API_KEYS_FILE=.*keys: line 2: sha256 must be like 64 hexadecimal digits\n$/,
    )
    expect(await sentence({ API_KEYS_FILE, ALLOW_ANONYMOUS: 'true' })).toMatch(
      /ALLOW_ANONYMOUS=true .*API_KEYS_FILE/,
    )
  })

  it('a data directory that cannot be created', async () => {
    expect(await sentence({ DATA_DIR: '/proc/x' })).toMatch(
      /DATA_DIR=\/proc\/x: the data folder could not be written: it does not exist and cannot be created \(ENOENT\)\n$/,
    )
  })

  it('a specification to preload', async () => {
    const PRELOAD = join(folder, 'preload.json')
    await writeFile(PRELOAD, '{"architecture": "resnet20", "name": "net", "clases": 3}')
    expect(await sentence({ PRELOAD })).toMatch(
      /PRELOAD=.*: .*preload\.json: #\/clases is not a known field; did you mean "classes"\?\n$/,
    )
  })

  it('a data directory that is a file', async () => {
    const DATA_DIR = join(folder, 'file')
    await writeFile(DATA_DIR, '')
    expect(await sentence({ DATA_DIR })).toMatch(/DATA_DIR=.*file: the data folder could not be written/)
  })
})

it('a generated key is printed at every log level', async () => {
  const child = start({ HOST: '0.0.0.0', LOG_LEVEL: 'error' })
  const [text] = (await once(child.stderr, 'data')) as [Buffer]
  expect(text.toString()).toMatch(/: [\w-]{32}\n/)
  child.kill('SIGKILL')
})

it('a signal during the start exits with 0', async () => {
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

it('"npm run key" prints a key once, and its line for the key file', async () => {
  const file = join(folder, 'made')
  const made = async (...words: string[]) => {
    const child = spawn(process.execPath, ['dist/cli/key.js', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [text, problem] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number]
    return { code, text, problem }
  }
  const { text } = await made('--name', 'team', '--scopes', 'predict,read', '--expires', '2999-01-01')
  const [, key = '', , , line = ''] = text.split('\n')
  expect(key).toMatch(/^[\w-]{32}$/)
  expect(line).not.toContain(key)
  await writeFile(file, line)
  const running = await startService({ API_KEYS_FILE: file })
  try {
    const [named, none] = [{ 'x-api-key': key }, { 'x-api-key': `${key}x` }]
    expect((await running.client.get('/v1/models', named)).status).toBe(200)
    expect((await running.client.get('/v1/models', none)).status).toBe(401)
    expect((await running.client.send('delete', '/v1/models/x', named)).status).toBe(403)
  } finally {
    await running.close()
  }
  for (const [words, says] of [
    [['--name', 'team'], /--scopes/],
    [['--name', 'team', '--scopes', 'all'], /scopes\/0 must be one of/],
    [['--name', 'team', '--scopes', 'read', '--expires', 'never'], /expires must be like 2027-01-01/],
    [['--nam', 'team'], /Unknown option/],
  ] as const) {
    const { code, text: nothing, problem } = await made(...words)
    expect([code, nothing]).toEqual([1, ''])
    expect(problem).toMatch(says)
    expect(problem).toMatch(/Usage: npm run key/)
  }
})
