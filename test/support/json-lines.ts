import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** Sends JSON requests, one per line, to a program that responds in order. */
export class JsonLines {
  readonly #name: string
  readonly #output: Writable
  readonly #lines: AsyncIterator<string>

  constructor(name: string, output: Writable, input: Readable) {
    this.#name = name
    this.#output = output
    this.#lines = createInterface({ input })[Symbol.asyncIterator]()
  }

  async ask(request: object): Promise<unknown> {
    this.#output.write(`${JSON.stringify(request)}\n`)
    const line = await this.#lines.next()
    if (line.done === true) throw new Error(`${this.#name} ended`)
    const answer = JSON.parse(line.value) as { error?: string }
    if (answer.error !== undefined)
      throw new Error(`${this.#name}: ${answer.error} for ${JSON.stringify(request)}`)
    return answer
  }
}
