import { once } from 'node:events'
import { ServiceError } from '../../common/errors.ts'
import { Permit, type Requester, type Measure } from './permit.ts'
import { selectVictims } from './client-shares.ts'

export interface AdmissionOptions {
  readonly maxImages: number
  readonly maxBytes: number
}

/** The initial value of the moving average of the time per image, from which Retry-After is computed. */
const INITIAL_MS_PER_IMAGE = 50
const MAX_RETRY_AFTER_S = 60

/**
 * Admits requests within two limits: waiting images, and bytes in memory (for an arriving body, those received). A
 * request that exceeds a limit is rejected with QUEUE_FULL (429), unless its client or its model uses less than an
 * equal share: then other requests are evicted and rejected with QUEUE_FULL instead (`selectVictims`).
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** In order of arrival. */
  readonly #permits = new Set<Permit>()
  readonly #used = { images: 0, bytes: 0 }
  #lastOrder = 0
  #msPerImage = INITIAL_MS_PER_IMAGE

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  get images(): number {
    return this.#used.images
  }

  get bytes(): number {
    return this.#used.bytes
  }

  /**
   * Returns a permit that reserves nothing yet; the caller releases it. Throws QUEUE_FULL if the announced bytes (the
   * request's Content-Length) do not fit, even if other requests are evicted.
   */
  admit(requester: Requester, announcedBytes: number): Permit {
    const permit: Permit = new Permit(requester, this.#lastOrder++, {
      claim: (measure, amount) => {
        this.#evictFor(permit, measure, amount)
      },
      changed: (measure, difference) => {
        this.#used[measure] += difference
      },
      released: () => this.#permits.delete(permit),
    })
    // A full queue rejects requests before their images are known.
    if (this.images >= this.#options.maxImages) this.#evictFor(permit, 'images', 1)
    // Only checks whether the announced bytes fit. They are not reserved, and requests are evicted when bytes arrive.
    this.#findVictims(permit, 'bytes', announcedBytes)
    this.#permits.add(permit)
    return permit
  }

  /** Resolves when all present permits of a model are released. */
  async drained(model: string): Promise<void> {
    const signals = [...this.#permits].filter((permit) => permit.model === model).map(({ signal }) => signal)
    await Promise.all(signals.map((signal) => once(signal, 'abort')))
  }

  /** Updates the average time per image with a computed batch of any model. */
  recordBatch(images: number, ms: number): void {
    this.#msPerImage = 0.8 * this.#msPerImage + 0.2 * (ms / images)
  }

  /** Evicts permits until the additional amount fits the limit, or throws QUEUE_FULL. */
  #evictFor(permit: Permit, measure: Measure, amount: number): void {
    for (const { release } of this.#findVictims(permit, measure, amount))
      release(this.#queueFullError(measure))
  }

  /**
   * Finds the permits to evict for an additional amount. Throws QUEUE_FULL if it does not fit. Without other permits
   * any amount fits.
   */
  #findVictims(permit: Permit, measure: Measure, amount: number): readonly Permit[] {
    const max = measure === 'images' ? this.#options.maxImages : this.#options.maxBytes
    const missing = this.#used[measure] + amount - max
    if (missing <= 0) return []
    const others = [...this.#permits].filter((other) => other !== permit && other[measure] > 0)
    if (others.length === 0) return []
    const victims = selectVictims({ permit, measure, amount, missing, max, others })
    if (victims === undefined) throw this.#queueFullError(measure)
    return victims
  }

  #queueFullError(measure: Measure): ServiceError {
    const wait = Math.ceil((this.images * this.#msPerImage) / 1000)
    const retryAfterSeconds = Math.min(MAX_RETRY_AFTER_S, Math.max(1, wait))
    const { maxImages, maxBytes } = this.#options
    const why =
      measure === 'images'
        ? `${String(this.images)} images are waiting, the limit is ${String(maxImages)} (MAX_QUEUE)`
        : `requests hold ${String(this.bytes)} bytes, the limit is ${String(maxBytes)} (MAX_QUEUE_BYTES)`
    const detail = `${why}; try again in ${String(retryAfterSeconds)} s`
    return new ServiceError('QUEUE_FULL', detail, { retryAfterSeconds })
  }
}
