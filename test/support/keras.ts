import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { inject } from 'vitest'
import { JsonLines } from './json-lines.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Path of the Keras server's socket; undefined without RESINIT_PYTHON. */
    readonly kerasSocket: string | undefined
  }
}

/** A connection to the Keras server that `test/interop/keras-setup.ts` starts once per run. */
export class Keras {
  readonly #socket: Socket
  readonly #lines: JsonLines

  constructor() {
    const path = inject('kerasSocket')
    if (path === undefined)
      throw new Error('set RESINIT_PYTHON to a Python that has test/golden/requirements.txt')
    this.#socket = connect(path)
    this.#lines = new JsonLines('Keras', this.#socket, this.#socket)
  }

  ask(request: object): Promise<unknown> {
    return this.#lines.ask(request)
  }

  async close(): Promise<void> {
    this.#socket.end()
    await once(this.#socket, 'close')
  }
}
