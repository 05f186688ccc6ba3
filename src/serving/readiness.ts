import type { Analysis } from '../analysis/contract.ts'
import { createShutdownError, ServiceError } from '../common/errors.ts'
import type { Engine } from '../engine/contract.ts'

export interface ReadinessOptions {
  readonly engine: Pick<Engine, 'ready'>
  readonly analysis: Pick<Analysis, 'answering'>
  /** The names of the models of PRELOAD. */
  readonly preloadNames: readonly string[]
}

/** The answer of /readyz: whether a load balancer should send requests to this service. */
export class Readiness {
  readonly #options: ReadinessOptions
  readonly #missing: Set<string>
  #started = false
  #draining = false

  constructor(options: ReadinessOptions) {
    this.#options = options
    this.#missing = new Set(options.preloadNames)
  }

  /** All child processes have answered. */
  markStarted(): void {
    this.#started = true
  }

  /** A model of PRELOAD is ready. */
  markPreloaded(name: string): void {
    this.#missing.delete(name)
  }

  /** The service is shutting down; it still serves requests. */
  markDraining(): void {
    this.#draining = true
  }

  /** True after the start and the preload. */
  get isStarted(): boolean {
    return this.#started && this.#missing.size === 0
  }

  /** Why the service is not ready; undefined if it is. */
  get problem(): ServiceError | undefined {
    const { engine, analysis } = this.#options
    if (this.#draining) return createShutdownError()
    const unavailable = (detail: string) => new ServiceError('ENGINE_UNAVAILABLE', detail)
    if (!this.#started) return unavailable('the engine is starting')
    if (!engine.ready) return unavailable('the engine is restarting or does not answer')
    if (!analysis.answering) return unavailable('the analysis is restarting or does not answer')
    if (this.#missing.size === 0) return undefined
    return new ServiceError('PRELOADING', `waits for the models of PRELOAD: ${[...this.#missing].join(', ')}`)
  }
}
