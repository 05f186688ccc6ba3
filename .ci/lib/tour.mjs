// Runs the commands of the README and of every page as they are written, in the order of a page and as one who reads it
// would, and compares what they print with what the page says they do. `node .ci/lib/tour.mjs docs/seeds.md` runs one page.
//
// A block of sh or python is run, unless a comment right before it says why not: <!-- run by FILE --> or
// <!-- not run: REASON -->. A block of text right after one is what it prints. <!-- restart --> starts the service anew,
// <!-- python: VARIABLE --> takes another Python than RESINIT_PYTHON, and <!-- writes NAME: PATH --> says that the block
// makes the repository's file PATH as NAME.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { blocksOf, isSame } from './pages.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PAGES = [
  'README.md',
  'DESIGN.md',
  'openapi/examples/README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]
/** Reads blocks of Python, one a line, and says when each is done, as one session of an interpreter. */
const PYTHON = `import json, sys
scope = {"__name__": "__main__"}
for line in sys.stdin:
    exec(compile(json.loads(line), "the block", "exec"), scope)
    print("\\0", flush=True)`

/** An interpreter that is given a page's blocks one after the other. */
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
    // One that is gone does not read what it is told.
    this.#child.stdin.on('error', () => undefined)
    this.#ended = once(this.#child, 'close')
  }

  /** What a block prints; throws, with all of it, where the block fails. @param {string} framed */
  async run(framed) {
    this.#printed = this.#errors = ''
    this.#child.stdin.write(framed)
    const over = this.#ended.then(() => true)
    const more = () => once(this.#child.stdout, 'data').then(() => false)
    while (!this.#printed.endsWith('\0\n'))
      if (await Promise.race([more(), over])) throw new Error(`it failed:\n${this.#printed}${this.#errors}`)
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
function pythonOf(variable) {
  const program = process.env[variable]
  if (!program) throw new Error(`set ${variable} to the Python that .ci/run makes for it`)
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
    for (const block of blocksOf(readFileSync(join(ROOT, page), 'utf8'))) {
      if (block.exempt) continue
      if (block.restart) {
        await service.stop()
        await service.start()
      }
      const start = performance.now()
      const printed = await (
        block.language === 'sh'
          ? interpreter('bash', '-euo', 'pipefail').run(`{\n${block.text}\n} </dev/null\nprintf '\\0\\n'\n`)
          : interpreter(pythonOf(block.python), '-c', PYTHON).run(`${JSON.stringify(block.text)}\n`)
      ).catch((/** @type {unknown} */ cause) => {
        throw new Error(`${page}, line ${String(block.line)}`, { cause })
      })
      const complaint = complaintOf(block, printed, folder)
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
 * What a block did otherwise than its page says.
 * @param {import('./pages.mjs').Block} block
 * @param {string} printed
 * @param {string} folder
 */
function complaintOf({ expected, writes }, printed, folder) {
  if (expected !== undefined && !isSame(printed, expected))
    return `the page says\n${expected}\nbut it prints\n${printed}`
  if (!writes) return ''
  const [made, kept] = [join(folder, writes.name), join(ROOT, writes.path)].map((path) =>
    readFileSync(path, 'utf8'),
  )
  return isSame(made ?? '', kept ?? '') ? '' : `what it writes is not ${writes.path}`
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
    // What a page's commands read of the checkout is there; what they write is thrown away.
    const folder = await mkdtemp(join(scratch, 'page-'))
    for (const name of ['openapi', 'test']) await symlink(join(ROOT, name), join(folder, name))
    await runPage(page, service, folder)
  }
} finally {
  await service.stop()
  await rm(scratch, { recursive: true })
}
if (process.exitCode === undefined) console.log('the tour holds')
