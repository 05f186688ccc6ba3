import { isCrash, ServiceError } from '../../common/errors.ts'
import { SharedExclusiveLock } from './shared-exclusive-lock.ts'

const WINDOW_MS = 10 * 60_000
/** How many deaths are proof, where there is no doubt. */
const PROOF = { strikes: 3, requestCrashLimit: 2 }
/**
 * Each doubt asks for so many times as much: deaths that are known to come of themselves (what died was asked again and
 * answered), and a build that went well before.
 */
const DOUBT_FACTOR = 3

type Kind = 'build' | 'predict'

/** One death of the engine, as those know it who had a call in it. */
export class EngineCrash {
  /** Whether one call only was in the engine: nothing else can be to blame. */
  readonly alone: boolean
  readonly #cleared: () => void
  #open = 0

  constructor(alone: boolean, cleared: () => void) {
    this.alone = alone
    this.#cleared = cleared
  }

  /** Something that was in the engine will be asked again. */
  claim(): void {
    this.#open += 1
  }

  /** It was, and answered. When all have, none of them was to blame. */
  settle(): void {
    this.#open -= 1
    if (this.#open === 0) this.#cleared()
  }
}

/** What a model's calls of one kind did since the last of them that succeeded. */
interface History {
  /** When the engine died with nothing else in it. */
  readonly strikes: number[]
}

export interface QuarantineOptions {
  /** A model is from now on refused. */
  readonly onQuarantine: (model: string, blockedError: ServiceError) => void
  /** Milliseconds that only grow. */
  readonly now?: () => number
}

/**
 * Finds which model the engine dies of. Whatever was in the engine when it died runs alone until it succeeds, so that
 * its next death is its own: a strike. Three strikes in ten minutes, and no success of that kind of call between them,
 * put a model into quarantine: it is refused for ten minutes, or until it is pardoned. Predicting is no success of
 * building, nor the other way round: a model that is built well can still kill whenever it is asked.
 */
export class Quarantine {
  readonly #options: QuarantineOptions
  readonly #now: () => number
  readonly #lock = new SharedExclusiveLock()
  readonly #inEngine = new Set<{ death: EngineCrash | undefined }>()
  /** Only of calls whose last one died; by kind and model. */
  readonly #histories = new Map<string, History>()
  /** Models that were built well. */
  readonly #built = new Set<string>()
  /** Until when, by model. */
  readonly #blockedUntil = new Map<string, number>()
  #randomCrashAt = -Infinity

  constructor(options: QuarantineOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Makes a call of the engine. Where the engine dies over it, `died` hears of it before the call rejects. */
  run<R>(kind: Kind, model: string, call: () => Promise<R>, died: (death: EngineCrash) => void): Promise<R> {
    const key = `${kind} ${model}`
    return this.#lock.run(this.#histories.has(key), async () => {
      const mine: { death: EngineCrash | undefined } = { death: undefined }
      this.#inEngine.add(mine)
      try {
        const result = await call()
        this.#histories.delete(key)
        if (kind === 'build') this.#built.add(model)
        return result
      } catch (error) {
        if (isCrash(error)) {
          const death = mine.death ?? this.#recordCrash()
          this.#addStrike(kind, model, death)
          died(death)
        }
        throw error
      } finally {
        this.#inEngine.delete(mine)
      }
    })
  }

  /** How often a request may die alone before it is believed to be the reason. */
  get requestCrashLimit(): number {
    return PROOF.requestCrashLimit * (this.#crashesAreRandom ? DOUBT_FACTOR : 1)
  }

  /** Why a model is not asked now, or undefined where it may be. */
  blockedError(model: string): ServiceError | undefined {
    const left = (this.#blockedUntil.get(model) ?? -Infinity) - this.#now()
    if (left > 0) return quarantined(left)
    this.#blockedUntil.delete(model)
    return undefined
  }

  /** Forgets what a model did: it was created again, or is gone. */
  reset(model: string): void {
    this.#blockedUntil.delete(model)
    this.#built.delete(model)
    for (const kind of ['build', 'predict']) this.#histories.delete(`${kind} ${model}`)
  }

  get #crashesAreRandom(): boolean {
    return this.#now() - this.#randomCrashAt < WINDOW_MS
  }

  /** All calls that are in the engine hear of the same death, one after another. */
  #recordCrash(): EngineCrash {
    const death = new EngineCrash(this.#inEngine.size === 1, () => {
      this.#randomCrashAt = this.#now()
    })
    for (const call of this.#inEngine) call.death = death
    return death
  }

  #addStrike(kind: Kind, model: string, death: EngineCrash): void {
    const key = `${kind} ${model}`
    const doubts = [this.#crashesAreRandom, kind === 'build' && this.#built.has(model)].filter(Boolean)
    const now = this.#now()
    const strikes = (this.#histories.get(key)?.strikes ?? []).filter((strike) => now - strike < WINDOW_MS)
    if (death.alone) strikes.push(now)
    this.#histories.set(key, { strikes })
    if (strikes.length < PROOF.strikes * DOUBT_FACTOR ** doubts.length) return
    this.reset(model)
    this.#blockedUntil.set(model, now + WINDOW_MS)
    this.#options.onQuarantine(model, quarantined(WINDOW_MS))
  }
}

function quarantined(leftMs: number): ServiceError {
  const retryAfterSeconds = Math.ceil(leftMs / 1000)
  return new ServiceError(
    'MODEL_QUARANTINED',
    `the engine died over this model again and again; it is asked again in ${String(retryAfterSeconds)} s, or at once where its specification is sent again; if that does not help, make it smaller or send less at once`,
    { retryAfterSeconds },
  )
}
