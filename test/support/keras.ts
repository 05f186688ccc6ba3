import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const SERVER = fileURLToPath(new URL('../interop/keras_server.py', import.meta.url))

/** A live Keras; one request at a time. */
export class Keras {
  readonly #child
  readonly #lines

  constructor() {
    const python = process.env['RESINIT_PYTHON']
    if (!python) throw new Error('set RESINIT_PYTHON to a Python that has test/golden/requirements.txt')
    this.#child = spawn(python, [SERVER], { stdio: ['pipe', 'pipe', 'ignore'] })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  async ask(request: object): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    const line = await this.#lines.next()
    if (line.done === true) throw new Error('Keras ended')
    const answer = JSON.parse(line.value) as { error?: string }
    if (answer.error !== undefined) throw new Error(`Keras: ${answer.error} for ${JSON.stringify(request)}`)
    return answer
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    await once(this.#child, 'exit')
  }
}
