import { isCrash, ServiceError } from '../../common/errors.ts'
import { SharedExclusiveLock } from './shared-exclusive-lock.ts'

const WINDOW_MS = 10 * 60_000
/** How many crashes of one model, or of one request, count as proof if there is no doubt. */
const PROOF = { strikes: 3, requestCrashes: 2 }
/**
 * Each doubt multiplies the number of crashes needed. Doubts are: the engine crashes at random (all calls of a crash were
 * repeated and succeeded), and an earlier build of the model succeeded.
 */
const DOUBT_FACTOR = 3

type Kind = 'build' | 'predict'

/** One crash of the engine, shared by all calls that the engine had. */
export class EngineCrash {
  /** True if the engine had one call only, so no other call can be the cause. */
  readonly alone: boolean
  readonly #onCleared: () => void
  #open = 0

  constructor(alone: boolean, onCleared: () => void) {
    this.alone = alone
    this.#onCleared = onCleared
  }

  /** Registers a call of the crash that will be repeated. */
  claim(): void {
    this.#open += 1
  }

  /** Reports that a repeated call succeeded. When all have succeeded, none of them caused the crash. */
  settle(): void {
    this.#open -= 1
    if (this.#open === 0) this.#onCleared()
  }
}

/** The calls of one model and kind since the last one that succeeded. */
interface History {
  /** The times of the crashes during which the engine had no other call. */
  readonly strikes: number[]
}

export interface QuarantineOptions {
  /** Called when a model is blocked. */
  readonly onQuarantine: (model: string, blockedError: ServiceError) => void
  /** A monotonic clock in ms. */
  readonly now?: () => number
}

/**
 * Finds the model that crashes the engine. Every call that the engine had during a crash runs alone until it succeeds, so
 * its next crash is its own: a strike. A model with three strikes in ten minutes and no success of that kind of call
 * between them is quarantined: it is rejected for ten minutes or until it is reset. Predictions and builds are counted
 * separately: a model that builds without error can still crash the engine with every prediction.
 */
export class Quarantine {
  readonly #options: QuarantineOptions
  readonly #now: () => number
  readonly #lock = new SharedExclusiveLock()
  readonly #running = new Set<{ crash: EngineCrash | undefined }>()
  /** By kind and model; only for calls whose last one crashed. */
  readonly #histories = new Map<string, History>()
  /** Models that were built successfully. */
  readonly #built = new Set<string>()
  /** The end of each quarantine, by model. */
  readonly #blockedUntil = new Map<string, number>()
  #randomCrashAt = -Infinity

  constructor(options: QuarantineOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Calls the engine. If the engine crashes, `onCrash` is called before the returned promise rejects. */
  run<R>(
    kind: Kind,
    model: string,
    call: () => Promise<R>,
    onCrash: (crash: EngineCrash) => void,
  ): Promise<R> {
    const key = `${kind} ${model}`
    return this.#lock.run(this.#histories.has(key), async () => {
      const own: { crash: EngineCrash | undefined } = { crash: undefined }
      this.#running.add(own)
      try {
        const result = await call()
        this.#histories.delete(key)
        if (kind === 'build') this.#built.add(model)
        return result
      } catch (error) {
        if (isCrash(error)) {
          const crash = own.crash ?? this.#recordCrash()
          this.#addStrike(kind, model, crash)
          onCrash(crash)
        }
        throw error
      } finally {
        this.#running.delete(own)
      }
    })
  }

  /** How many crashes on its own a request may have before it counts as their cause. */
  get requestCrashLimit(): number {
    return PROOF.requestCrashes * (this.#crashesAreRandom ? DOUBT_FACTOR : 1)
  }

  /** The error for calls of a quarantined model; undefined for other models. */
  blockedError(model: string): ServiceError | undefined {
    const left = (this.#blockedUntil.get(model) ?? -Infinity) - this.#now()
    if (left > 0) return createBlockedError(left)
    this.#blockedUntil.delete(model)
    return undefined
  }

  /** Clears the history of a model that is created again or deleted. */
  reset(model: string): void {
    this.#blockedUntil.delete(model)
    this.#built.delete(model)
    for (const kind of ['build', 'predict']) this.#histories.delete(`${kind} ${model}`)
  }

  get #crashesAreRandom(): boolean {
    return this.#now() - this.#randomCrashAt < WINDOW_MS
  }

  /** Records one crash for all calls that the engine had; their errors arrive one after another. */
  #recordCrash(): EngineCrash {
    const crash = new EngineCrash(this.#running.size === 1, () => {
      this.#randomCrashAt = this.#now()
    })
    for (const call of this.#running) call.crash = crash
    return crash
  }

  #addStrike(kind: Kind, model: string, crash: EngineCrash): void {
    const key = `${kind} ${model}`
    const doubts = [this.#crashesAreRandom, kind === 'build' && this.#built.has(model)].filter(Boolean)
    const now = this.#now()
    const strikes = (this.#histories.get(key)?.strikes ?? []).filter((strike) => now - strike < WINDOW_MS)
    if (crash.alone) strikes.push(now)
    this.#histories.set(key, { strikes })
    if (strikes.length < PROOF.strikes * DOUBT_FACTOR ** doubts.length) return
    this.reset(model)
    this.#blockedUntil.set(model, now + WINDOW_MS)
    this.#options.onQuarantine(model, createBlockedError(WINDOW_MS))
  }
}

function createBlockedError(leftMs: number): ServiceError {
  const retryAfterSeconds = Math.ceil(leftMs / 1000)
  return new ServiceError(
    'MODEL_QUARANTINED',
    `this model crashed the engine repeatedly and is blocked for ${String(retryAfterSeconds)} s; send its specification again to unblock it at once; if it crashes again, make the model smaller or send fewer images at once`,
    { retryAfterSeconds },
  )
}
