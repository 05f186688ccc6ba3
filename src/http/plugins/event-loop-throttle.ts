import fp from 'fastify-plugin'
import { isProbe } from '../shared/scopes.ts'

/** Tasks started per turn of the event loop: some milliseconds of work. */
const STARTS_PER_TURN = 4

/** Starts tasks in order, at most STARTS_PER_TURN in one turn of the event loop. */
export class EventLoopThrottle {
  #started = 0
  readonly #queue: (() => void)[] = []

  run(task: () => void): void {
    if (this.#started === STARTS_PER_TURN || this.#queue.length > 0) this.#queue.push(task)
    else this.#start(task)
  }

  #start(task: () => void): void {
    if (this.#started === 0) setImmediate(this.#nextTurn)
    this.#started += 1
    task()
  }

  readonly #nextTurn = (): void => {
    this.#started = 0
    for (const task of this.#queue.splice(0, STARTS_PER_TURN)) this.#start(task)
  }
}

/** Throttles the start of requests, so that a burst of a thousand does not delay a probe that follows it. */
export const eventLoopThrottle = fp<{ readonly throttle: EventLoopThrottle }>(
  (app, { throttle }, done) => {
    app.addHook('onRequest', ({ routeOptions }, _reply, next) => {
      if (isProbe(routeOptions.url)) next()
      else throttle.run(next)
    })
    done()
  },
  { name: 'event-loop-throttle' },
)
