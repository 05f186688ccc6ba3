import { once } from 'node:events'
import { ServiceError } from '../../common/errors.ts'
import { Permit, type Requester, type Measure } from './permit.ts'
import { selectVictims } from './client-shares.ts'

export interface AdmissionOptions {
  readonly maxImages: number
  readonly maxBytes: number
}

/** Before anything was computed, for the first Retry-After. */
const FIRST_MS_PER_IMAGE = 50
const LONGEST_RETRY_S = 60

/**
 * Which requests are let in. Counted are images that wait and bytes that are held, of bodies on their way those that have
 * come. A request that finds no room is refused, unless its client or its model holds less than an equal share of what
 * there is: then others leave for it (`victimsOf`).
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** In order of coming. */
  readonly #permits = new Set<Permit>()
  readonly #held = { images: 0, bytes: 0 }
  #count = 0
  #msPerImage = FIRST_MS_PER_IMAGE

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  get images(): number {
    return this.#held.images
  }

  get bytes(): number {
    return this.#held.bytes
  }

  /**
   * A place for a request, whose taker leaves it. It holds nothing yet; QUEUE_FULL where there would be no room for as many
   * bytes as its head announces.
   */
  admit(asker: Requester, announced: number): Permit {
    const permit: Permit = new Permit(asker, this.#count++, {
      claim: (measure, amount) => {
        this.#claim(permit, measure, amount)
      },
      changed: (measure, difference) => {
        this.#held[measure] += difference
      },
      drained: () => this.#permits.delete(permit),
    })
    // Also a request that holds nothing yet is none that a full queue needs.
    if (this.images >= this.#options.maxImages) this.#claim(permit, 'images', 1)
    // Nobody leaves for what is only announced.
    this.#selectVictims(permit, 'bytes', announced)
    this.#permits.add(permit)
    return permit
  }

  /** Resolves when all that were admitted for a model until now have left. */
  async drained(model: string): Promise<void> {
    const signals = [...this.#permits].filter((permit) => permit.model === model).map(({ signal }) => signal)
    await Promise.all(signals.map((signal) => once(signal, 'abort')))
  }

  /** Images were computed in this time, of whatever model. */
  computed(images: number, ms: number): void {
    this.#msPerImage = 0.8 * this.#msPerImage + 0.2 * (ms / images)
  }

  /** Makes room for so much more, or throws. */
  #claim(permit: Permit, measure: Measure, amount: number): void {
    for (const { release } of this.#selectVictims(permit, measure, amount)) release(this.#full(measure))
  }

  /** Who has to leave; throws where there is no room all the same. On an idle service there is room for anything. */
  #selectVictims(permit: Permit, measure: Measure, amount: number): readonly Permit[] {
    const max = measure === 'images' ? this.#options.maxImages : this.#options.maxBytes
    const missing = this.#held[measure] + amount - max
    if (missing <= 0) return []
    const others = [...this.#permits].filter((other) => other !== permit && other[measure] > 0)
    if (others.length === 0) return []
    const victims = selectVictims({ permit: permit, measure, amount, missing, max, others })
    if (victims === undefined) throw this.#full(measure)
    return victims
  }

  #full(measure: Measure): ServiceError {
    const wait = Math.ceil((this.images * this.#msPerImage) / 1000)
    const retryAfterSeconds = Math.min(LONGEST_RETRY_S, Math.max(1, wait))
    const { maxImages, maxBytes } = this.#options
    const why =
      measure === 'images'
        ? `${String(this.images)} images wait already, ${String(maxImages)} may`
        : `requests hold ${String(this.bytes)} bytes already, ${String(maxBytes)} are allowed`
    const detail = `${why}; try again in ${String(retryAfterSeconds)} s`
    return new ServiceError('QUEUE_FULL', detail, { retryAfterSeconds })
  }
}
