import type { FastifyInstance } from 'fastify'
import { isProbe } from '../shared/scopes.ts'

/** What is begun in one turn of the event loop: some milliseconds of work. */
const BEGUN_IN_A_TURN = 4

/** Begins things in the order they came, no more than some in one turn of the event loop. */
export class EventLoopThrottle {
  #begun = 0
  readonly #waiting: (() => void)[] = []

  run(begin: () => void): void {
    if (this.#begun === BEGUN_IN_A_TURN || this.#waiting.length > 0) this.#waiting.push(begin)
    else this.#begin(begin)
  }

  #begin(begin: () => void): void {
    if (this.#begun === 0) setImmediate(this.#turn)
    this.#begun += 1
    begin()
  }

  readonly #turn = (): void => {
    this.#begun = 0
    for (const begin of this.#waiting.splice(0, BEGUN_IN_A_TURN)) this.#begin(begin)
  }
}

/** A thousand requests that arrive at once are not all begun before a probe that comes after them is answered. */
export function throttleRequests(app: FastifyInstance, pace: EventLoopThrottle): void {
  app.addHook('onRequest', ({ routeOptions }, _reply, done) => {
    if (isProbe(routeOptions.url)) done()
    else pace.run(done)
  })
}
