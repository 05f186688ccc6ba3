import { ServiceError } from '../../common/errors.ts'

/**
 * Who asks for a turn. Clients are refused where too many wait; one that was admitted before (the further reads of an
 * export, whose answer has begun) is not. Neither is the service itself, which also goes before all clients, so that no
 * flood of theirs keeps a new model from its digest. What goes on in the background comes after all others.
 */
export type Priority = 'client' | 'admitted' | 'service' | 'background'

interface TurnRequest {
  readonly priority: Priority
  readonly signal: AbortSignal | undefined
}

/** One job at a time, in order of asking among those of one claim; who leaves while he waits is forgotten. */
export class AnalysisQueue {
  readonly #maxWaiting: number
  readonly #service: (() => void)[] = []
  readonly #clients: (() => void)[] = []
  readonly #background: (() => void)[] = []
  #busy = false
  /** Milliseconds a job takes lately, for Retry-After. */
  #pace = 200

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  /** What the job gives, when its turn has come; QUEUE_FULL at once where it is refused. */
  async run<R>(job: () => Promise<R>, ask: TurnRequest): Promise<R> {
    await this.#turn(ask)
    const started = performance.now()
    try {
      return await job()
    } finally {
      this.#pace = 0.8 * this.#pace + 0.2 * (performance.now() - started)
      this.#next()
    }
  }

  async #turn({ priority: priority, signal }: TurnRequest): Promise<void> {
    signal?.throwIfAborted()
    if (!this.#busy) {
      this.#busy = true
      return
    }
    if (priority === 'client' && this.#clients.length >= this.#maxWaiting) throw this.#full()
    const line = this.#lineOf(priority)
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        line.splice(line.indexOf(turn), 1)
        reject(signal?.reason as Error)
      }
      line.push(turn)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }

  #lineOf(priority: Priority): (() => void)[] {
    if (priority === 'background') return this.#background
    return priority === 'service' ? this.#service : this.#clients
  }

  #next(): void {
    const turn = this.#service.shift() ?? this.#clients.shift() ?? this.#background.shift()
    if (turn === undefined) this.#busy = false
    else turn()
  }

  #full(): ServiceError {
    const waiting = this.#clients.length
    const retryAfterSeconds = Math.max(1, Math.ceil(((waiting + 1) * this.#pace) / 1000))
    const detail = `${String(waiting)} questions about weights wait already (MAX_ANALYSIS_QUEUE); try again in ${String(retryAfterSeconds)} s`
    return new ServiceError('QUEUE_FULL', detail, { retryAfterSeconds })
  }
}
