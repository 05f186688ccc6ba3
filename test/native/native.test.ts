import { spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bindingPath, CACHE } from '../../native/cache.mjs'
import { installedFlavour } from '../../native/install.mjs'
import { bindingKey } from '../../native/compile.mjs'
import { release } from '../../native/pins.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FLAVOUR = installedFlavour() ?? 'cpu'
const ONE_SENTENCE = /^[^\n]+\.\n$/

interface Outcome {
  status: number | null
  stdout: string
  stderr: string
  milliseconds: number
}

let scratch: string
let cache: string
let tfjs: string

beforeEach(() => {
  scratch = realpathSync(mkdtempSync(path.join(tmpdir(), 'resinit-native-')))
  cache = path.join(scratch, 'cache')
  tfjs = path.join(scratch, 'node_modules', '@tensorflow', 'tfjs-node-gpu')
  cpSync(path.join(ROOT, 'native'), path.join(scratch, 'native'), { recursive: true })
  mkdirSync(cache)
})

afterEach(() => {
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 })
})

/**
 * Links to the repository's packages, and a copy of the package into which libtensorflow is installed, as
 * after `npm ci`.
 */
function installPackages(): void {
  const real = path.join(ROOT, 'node_modules')
  mkdirSync(path.dirname(tfjs), { recursive: true })
  for (const folder of ['', '@tensorflow']) {
    for (const name of readdirSync(path.join(real, folder))) {
      if (name === '@tensorflow' || name === 'tfjs-node-gpu') continue
      symlinkSync(path.join(real, folder, name), path.join(scratch, 'node_modules', folder, name))
    }
  }
  const source = path.join(real, '@tensorflow', 'tfjs-node-gpu')
  const isLaid = (file: string) => ['deps', 'lib'].includes(path.relative(source, file))
  cpSync(source, tfjs, { recursive: true, filter: (file) => !isLaid(file) })
}

/** Links the contents of the real cache, so that no test downloads anything. */
function seed(...parts: ('libtensorflow' | 'binding')[]): void {
  for (const part of parts) symlinkSync(path.join(CACHE, part), path.join(cache, part))
}

function script(name: string, body: string): string {
  const file = path.join(scratch, name)
  writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  return file
}

function start(command: string, environment: Record<string, string> = {}) {
  return spawn(process.execPath, [path.join(scratch, 'native', 'cli.mjs'), command], {
    env: { ...process.env, RESINIT_CACHE: cache, RESINIT_NATIVE: FLAVOUR, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function native(command: string, environment?: Record<string, string>): Promise<Outcome> {
  const begin = performance.now()
  const child = start(command, environment)
  const outcome = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => (outcome.stdout += String(text)))
  child.stderr.on('data', (text) => (outcome.stderr += String(text)))
  return new Promise((resolve) => {
    child.on('close', (status) => {
      resolve({ ...outcome, status, milliseconds: performance.now() - begin })
    })
  })
}

function expectNothingInstalled(): void {
  const left = readdirSync(cache, { recursive: true, encoding: 'utf8' })
  expect(left.filter((name) => name !== 'partial')).toEqual([])
  expect(existsSync(path.join(tfjs, 'deps'))).toBe(false)
}

/** Progress lines precede the error: the last line is the message. */
const lastLine = (text: string) => `${text.trimEnd().split('\n').at(-1) ?? ''}\n`

describe('with libtensorflow in the cache', () => {
  beforeEach(() => {
    installPackages()
    seed('libtensorflow')
  })

  test('a second ensure is quick and silent, and the engine loads', async () => {
    seed('binding')
    expect((await native('ensure')).status).toBe(0)
    const second = await native('ensure')
    expect(second).toMatchObject({ status: 0, stdout: '', stderr: '' })
    expect(second.milliseconds).toBeLessThan(2_000)
    const doctor = await native('doctor')
    expect(doctor.status).toBe(0)
    expect(doctor.stdout).toMatch(/^libtensorflow +2\.21\.0$/m)
    expect(doctor.stdout).toMatch(/^device +(GPU|CPU)$/m)
    expect(doctor.stdout).toMatch(/^cpu features +\w/m)
    if (/^device +CPU$/m.test(doctor.stdout)) expect(doctor.stdout).toMatch(/^no GPU since +\w.*;/m)
  })

  test('files that npm ci deleted are installed again without a download', async () => {
    seed('binding')
    await native('ensure')
    rmSync(tfjs, { recursive: true })
    rmSync(path.join(scratch, 'node_modules'), { recursive: true })
    installPackages()
    const { status, stderr } = await native('ensure', { PYTHON: '/nonexistent', CXX: '/nonexistent' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringContaining('done in') })
  })

  test('concurrent runs succeed, and only one compiles', async () => {
    const compiled = path.join(scratch, 'compiled')
    const real = bindingPath(bindingKey(release(FLAVOUR)))
    const compiler = script(
      'c++',
      [
        '[ "$1" = --version ] && exit',
        `echo once >>"${compiled}"; sleep 1`,
        'for word; do [ "$last" != -o ] || out=$word; last=$word; done',
        `cp "${real}" "$out"`,
      ].join('\n'),
    )
    const outcomes = await Promise.all([1, 2, 3].map(() => native('ensure', { CXX: compiler })))
    expect(outcomes.map(({ status }) => status)).toEqual([0, 0, 0])
    expect(readFileSync(compiled, 'utf8')).toBe('once\n')
    expect(readdirSync(cache).sort()).toEqual(['binding', 'libtensorflow', 'partial'])
    expect((await native('ensure')).stderr).toBe('')
  })

  test('the lock and partial files of a killed run are removed', async () => {
    seed('binding')
    mkdirSync(path.join(cache, 'lock'))
    writeFileSync(path.join(cache, 'lock', 'holder'), `${hostname()} 999999999`)
    mkdirSync(path.join(cache, 'partial', 'old'), { recursive: true })
    expect((await native('ensure')).status).toBe(0)
    expect(readdirSync(cache).sort()).toEqual(['binding', 'libtensorflow'])
  })

  test('without a compiler the error names the cure', async () => {
    const { status, stderr } = await native('ensure', { CXX: '/nonexistent/g++' })
    expect(status).toBe(1)
    expect(stderr).toMatch(ONE_SENTENCE)
    expect(stderr).toContain('apt install g++')
    expect(existsSync(path.join(tfjs, 'deps'))).toBe(false)
  })

  test('a compiler that fails leaves no binding', async () => {
    const broken = script('c++', '[ "$1" = --version ] || { echo "x.cc:1: error: no" >&2; exit 1; }')
    const { status, stderr } = await native('ensure', { CXX: broken })
    expect(status).toBe(1)
    expect(lastLine(stderr)).toContain('x.cc:1: error: no')
    expect(readdirSync(cache).filter((name) => name !== 'partial')).toEqual(['libtensorflow'])
  })
})

describe('with an empty cache', () => {
  beforeEach(installPackages)

  test.each([
    ['no Python', { PYTHON: '/nonexistent' }, 'apt install python3'],
    ['an unknown flavour', { RESINIT_NATIVE: 'tpu' }, 'set it to cpu or cuda'],
  ])('%s fails with its cure', async (_, environment, cure) => {
    const { status, stderr } = await native('ensure', environment)
    expect(status).toBe(1)
    expect(stderr).toMatch(ONE_SENTENCE)
    expect(stderr).toContain(cure)
    expectNothingInstalled()
  })

  test('Python without pip fails with its cure', async () => {
    const { status, stderr } = await native('ensure', { PYTHON: script('python', 'exec python3 -I -S "$@"') })
    expect(status).toBe(1)
    expect(stderr).toMatch(ONE_SENTENCE)
    expect(stderr).toContain('apt install python3-pip')
  })

  test('an unreachable index fails with its cure', async () => {
    const { status, stderr } = await native('ensure', {
      ...{ PIP_CONFIG_FILE: '/dev/null', PIP_FIND_LINKS: '', PIP_INDEX_URL: 'http://127.0.0.1:9/simple' },
      ...{ PIP_EXTRA_INDEX_URL: '' },
    })
    expect(status).toBe(1)
    expect(lastLine(stderr)).toContain('is unreachable: check the network')
    expectNothingInstalled()
  }, 60_000)

  test('a corrupted wheel is rejected and removed', async () => {
    const shelf = path.join(scratch, 'shelf')
    mkdirSync(shelf)
    for (const { file } of release(FLAVOUR).wheels) writeFileSync(path.join(shelf, file), 'PK corrupted')
    const { status, stderr } = await native('ensure', { PIP_NO_INDEX: '1', PIP_FIND_LINKS: shelf })
    expect(status).toBe(1)
    expect(lastLine(stderr)).toContain('does not have the pinned hash')
    expectNothingInstalled()
  })

  test.each([
    ['a download', 'SIGINT'],
    ['a download', 'SIGKILL'],
    ['unpacking', 'SIGINT'],
    ['unpacking', 'SIGKILL'],
  ] as const)(
    'the next run works after %s was ended by %s',
    async (stage, signal) => {
      const begun = path.join(scratch, 'begun')
      const halfDone = (file: string) =>
        `mkdir -p "$(dirname ${file})"; echo half >${file}; touch "${begun}"; exec sleep 5`
      const python = script(
        'python',
        [
          '[ "$3" = --version ] && exit',
          'for word; do [ "$last" != --dest ] || wheels=$word; last=$word; done',
          stage === 'a download'
            ? halfDone('"$wheels/half.whl"')
            : `[ -n "$wheels" ] && exit\n${halfDone('"$3/lib/libtensorflow_cc.so.2"')}`,
        ].join('\n'),
      )
      const child = start('ensure', { PYTHON: python })
      await expect.poll(() => existsSync(begun), { timeout: 20_000 }).toBe(true)
      const left = readdirSync(path.join(cache, 'partial'), { recursive: true, encoding: 'utf8' })
      expect(left.some((name) => /half\.whl|libtensorflow_cc/.test(name))).toBe(true)
      child.kill(signal)
      await new Promise((resolve) => child.on('close', resolve))
      if (signal === 'SIGINT') expectNothingInstalled()
      seed('libtensorflow', 'binding')
      expect((await native('ensure')).status).toBe(0)
      expect(readdirSync(cache).sort()).toEqual(['binding', 'libtensorflow'])
    },
    30_000,
  )

  test('an index that pip does not trust fails with its cure', async () => {
    const { stderr } = await native('ensure', {
      ...{ PIP_CONFIG_FILE: '/dev/null', PIP_FIND_LINKS: '', PIP_EXTRA_INDEX_URL: '', PIP_TRUSTED_HOST: '' },
      PIP_INDEX_URL: 'http://192.0.2.1/simple',
    })
    expect(lastLine(stderr)).toContain('is unreachable: check the network')
    expectNothingInstalled()
  }, 60_000)
})

test('without node_modules the error names npm ci', async () => {
  const { status, stderr } = await native('ensure')
  expect(status).toBe(1)
  expect(stderr).toMatch(ONE_SENTENCE)
  expect(stderr).toContain('npm ci')
})

test('an unknown command shows the usage', async () => {
  expect(await native('install')).toMatchObject({ status: 1, stderr: expect.stringContaining('Usage:') })
})
