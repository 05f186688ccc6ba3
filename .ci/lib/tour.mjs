// Runs the commands of the README and of every page as written, in the order of the page, and compares their output with
// the page. `node .ci/lib/tour.mjs docs/seeds.md` runs one page.
//
// A block of sh or python is run unless a comment before it gives a reason: <!-- run by FILE --> or
// <!-- not run: REASON -->. A block of text after a command is its output. A block of json after a command is a part of
// its output. <!-- restart --> restarts the service before the block, <!-- python: VARIABLE --> selects another Python than
// RESINIT_PYTHON, and <!-- writes NAME: PATH --> declares that the block writes the repository's file PATH as NAME.
// The default address of the service is replaced by the address of the tour's own service.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { containsJson, isSame, readBlocks } from './pages.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DEFAULT_ADDRESS = 'http://127.0.0.1:8080'
const PAGES = [
  'README.md',
  'CONTRIBUTING.md',
  'openapi/examples/README.md',
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`)
    .sort(),
]
/** One session of an interpreter: reads a block per line and prints a marker after each. */
const PYTHON = `import json, sys
scope = {"__name__": "__main__"}
for line in sys.stdin:
    exec(compile(json.loads(line), "the block", "exec"), scope)
    print("\\0", flush=True)`

/** An interpreter that runs the blocks of a page in one session. */
class Interpreter {
  #child
  #ended
  #printed = ''
  #errors = ''

  /** @param {string} program @param {string[]} args @param {{cwd: string, env: NodeJS.ProcessEnv}} options */
  constructor(program, args, options) {
    this.#child = spawn(program, args, { ...options, stdio: 'pipe' })
    this.#child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => (this.#printed += text))
    this.#child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => (this.#errors += text))
    // A dead interpreter closes its input; `run` reports the death.
    this.#child.stdin.on('error', () => undefined)
    this.#ended = once(this.#child, 'close')
  }

  /** Returns the output of a block; throws with the output if the block fails. @param {string} framed */
  async run(framed) {
    this.#printed = this.#errors = ''
    this.#child.stdin.write(framed)
    const over = this.#ended.then(() => true)
    const more = () => once(this.#child.stdout, 'data').then(() => false)
    while (!this.#printed.endsWith('\0\n'))
      if (await Promise.race([more(), over]))
        throw new Error(`the block failed:\n${this.#printed}${this.#errors}`)
    return this.#printed.slice(0, -2)
  }

  async close() {
    this.#child.stdin.end()
    await this.#ended
  }
}

class Service {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child
  #log = ''

  /** @param {number} port @param {string} data */
  constructor(port, data) {
    this.url = `http://127.0.0.1:${String(port)}`
    this.env = { ...process.env, PORT: String(port), DATA_DIR: data, LOG_LEVEL: 'warn' }
  }

  async start() {
    this.#log = ''
    const child = spawn('npm', ['start'], { cwd: ROOT, env: this.env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (/** @type {Buffer} */ text) => (this.#log += text.toString()))
    this.#child = child
    for (let second = 0; second < 300; second++) {
      const ready = await fetch(`${this.url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
      if (ready) return
      if (child.exitCode !== null) break
      await sleep(1000)
    }
    throw new Error(`the service did not start:\n${this.#log}`)
  }

  async stop() {
    const child = this.#child
    if (child?.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill()
    const [code] = /** @type {[number | null]} */ (await ended)
    if (code !== 0) throw new Error(`the service ended with ${String(code)}:\n${this.#log}`)
  }
}

/** @param {string} variable */
function requirePython(variable) {
  const program = process.env[variable]
  if (!program) throw new Error(`set ${variable} to the Python of its CI setup`)
  return program
}

/** @param {string} page @param {Service} service @param {string} folder */
async function runPage(page, service, folder) {
  const options = { cwd: folder, env: { ...process.env, RESINIT: service.url } }
  /** @type {Map<string, Interpreter>} */
  const interpreters = new Map()
  /** @param {string} program @param {string[]} args */
  const interpreter = (program, ...args) => {
    const known = interpreters.get(program) ?? new Interpreter(program, args, options)
    interpreters.set(program, known)
    return known
  }
  try {
    for (const block of readBlocks(readFileSync(join(ROOT, page), 'utf8'))) {
      if (block.exempt) continue
      if (block.restart) {
        await service.stop()
        await service.start()
      }
      const start = performance.now()
      const command = block.text.replaceAll(DEFAULT_ADDRESS, service.url)
      const printed = await (
        block.language === 'sh'
          ? interpreter('bash', '-euo', 'pipefail').run(`{\n${command}\n} </dev/null\nprintf '\\0\\n'\n`)
          : interpreter(requirePython(block.python), '-c', PYTHON).run(`${JSON.stringify(command)}\n`)
      ).catch((/** @type {unknown} */ cause) => {
        throw new Error(`${page}, line ${String(block.line)}`, { cause })
      })
      const complaint = describeMismatch(block, printed, folder)
      if (complaint) {
        console.error(`${page}, line ${String(block.line)}: ${complaint}`)
        process.exitCode = 1
      }
      console.log(`${page}:${String(block.line)} ${((performance.now() - start) / 1000).toFixed(1)} s`)
    }
  } finally {
    await Promise.all([...interpreters.values()].map((one) => one.close()))
  }
}

/**
 * Describes the difference between a block's output and its page; empty if there is none.
 * @param {import('./pages.mjs').Block} block
 * @param {string} printed
 * @param {string} folder
 */
function describeMismatch({ expected, expectedJson, writes }, printed, folder) {
  if (expected !== undefined && !isSame(printed, expected))
    return `the page shows\n${expected}\nbut the output is\n${printed}`
  if (expectedJson !== undefined && !containsJson(JSON.parse(printed), expectedJson))
    return `the page shows other JSON than the output\n${printed}`
  if (!writes) return ''
  const [made, kept] = [join(folder, writes.name), join(ROOT, writes.path)].map((path) =>
    readFileSync(path, 'utf8'),
  )
  return isSame(made ?? '', kept ?? '') ? '' : `the written file differs from ${writes.path}`
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  server.close()
  return port
}

const pages = process.argv.length > 2 ? process.argv.slice(2) : PAGES
const scratch = await mkdtemp(join(tmpdir(), 'resinit-tour-'))
const service = new Service(await freePort(), join(scratch, 'data'))
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    const ended = service.stop().then(() => rm(scratch, { recursive: true }))
    void ended.finally(() => process.exit(1))
  })
try {
  await service.start()
  for (const page of pages) {
    // Commands read the checkout through links; their own files are discarded.
    const folder = await mkdtemp(join(scratch, 'page-'))
    for (const name of ['openapi', 'test']) await symlink(join(ROOT, name), join(folder, name))
    await runPage(page, service, folder)
  }
} finally {
  await service.stop()
  await rm(scratch, { recursive: true })
}
if (process.exitCode === undefined) console.log('the tour: all pages match')
