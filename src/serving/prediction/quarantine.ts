import { isCrash, ServiceError } from '../../common/errors.ts'
import { SharedExclusiveLock } from './shared-exclusive-lock.ts'

const WINDOW_MS = 10 * 60_000
/** A model with this many strikes, or a request with this many crashes, is the cause if there is no doubt. */
const PROOF = { strikes: 3, requestCrashes: 2 }
/**
 * Each doubt multiplies the required number of crashes. There are two doubts: the engine crashes at random (all calls
 * of an earlier crash were repeated and succeeded), and an earlier build of the model succeeded.
 */
const DOUBT_FACTOR = 3

type Kind = 'build' | 'predict'

/** One crash of the engine, shared by all calls that were in progress. */
export class EngineCrash {
  /** True if only one call was in progress, so no other call can be the cause. */
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

/** The crashes of one model in one kind of call since the last success. */
interface CrashHistory {
  /** The times of crashes during which no other call was in progress. */
  readonly strikes: number[]
}

export interface QuarantineOptions {
  /** Called when a model is blocked. */
  readonly onQuarantine: (model: string, blockedError: ServiceError) => void
  /** A monotonic clock in ms. */
  readonly now?: () => number
}

/**
 * Finds the model that crashes the engine. After a crash, each model with a call in progress runs its calls of that
 * kind alone, until one succeeds. A crash while a single call is in progress is a strike against its model. Three
 * strikes in ten minutes without a success between them quarantine the model: its calls are rejected for ten minutes,
 * or until a reset. Predictions and builds are counted separately, because a model that builds without error can still
 * crash the engine with every prediction.
 */
export class Quarantine {
  readonly #options: QuarantineOptions
  readonly #now: () => number
  readonly #lock = new SharedExclusiveLock()
  readonly #running = new Set<{ crash: EngineCrash | undefined }>()
  /** By kind and model. An entry exists from a crash to the next success. */
  readonly #histories = new Map<string, CrashHistory>()
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

  /** The number of crashes during which a request ran alone, after which the request counts as their cause. */
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

  /** Records one crash for all calls in progress; their errors arrive one after another. */
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
