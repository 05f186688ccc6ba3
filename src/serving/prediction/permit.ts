export type Measure = 'images' | 'bytes'

/** The speed of an incoming body: normal, far below it, or near zero. */
type Arrival = 'steady' | 'slow' | 'stalled'

/** The client and the model of a request. */
export interface Requester {
  /** A key's name or an address. */
  readonly client: string
  readonly model: string
}

/** The limits that a permit counts against. */
interface Budget {
  /** Makes room for an additional amount, or throws QUEUE_FULL. */
  readonly claim: (measure: Measure, amount: number) => void
  /** Adds to the amount in use; negative differences give it back. */
  readonly changed: (measure: Measure, difference: number) => void
  readonly released: () => void
}

/**
 * The images and bytes that one request occupies between the arrival of its head and the end of its response. `reserve`
 * sets the totals. Images whose computation has started no longer count towards the limit; bytes count until the
 * release.
 */
export class Permit implements Requester {
  readonly client: string
  readonly model: string
  /** Increases from permit to permit. */
  readonly order: number
  /** The speed of the body while it arrives; undefined after its end. */
  arrival: Arrival | undefined
  readonly #budget: Budget
  /**
   * The reason of the release. An AbortSignal per request would cost more than the rest of the permit; `signal` creates one on
   * demand.
   */
  #released: { readonly reason: unknown } | undefined
  readonly #watchers = new Set<(reason: unknown) => void>()
  /** All images of the request, waiting and started. */
  #images = 0
  #bytes = 0
  #started = 0
  #queued = false

  constructor({ client, model }: Requester, order: number, budget: Budget) {
    this.client = client
    this.model = model
    this.order = order
    this.#budget = budget
  }

  /** Calls `onRelease` with the reason. Returns a function that unsubscribes. Throws if the permit is released. */
  watch(onRelease: (reason: unknown) => void): () => void {
    this.#throwIfReleased()
    this.#watchers.add(onRelease)
    return () => this.#watchers.delete(onRelease)
  }

  /** A signal that the release aborts, with its reason. */
  get signal(): AbortSignal {
    const controller = new AbortController()
    if (this.#released !== undefined) controller.abort(this.#released.reason)
    else
      this.#watchers.add((reason) => {
        controller.abort(reason)
      })
    return controller.signal
  }

  /** The images that wait to be decoded or computed: the reserved ones without the started ones. */
  get images(): number {
    return this.#images - this.#started
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * True if the permit may be released in favour of another request: its body is arriving, or it is queued and not
   * started.
   */
  get evictable(): boolean {
    return this.#queued || this.arrival !== undefined
  }

  /**
   * Sets the totals of its images, started ones included, and of its bytes. Throws QUEUE_FULL if an increase does not
   * fit.
   */
  reserve(images: number, bytes: number): void {
    this.#throwIfReleased()
    const [moreImages, moreBytes] = [images - this.#images, bytes - this.#bytes]
    if (moreImages > 0) this.#budget.claim('images', moreImages)
    if (moreBytes > 0) this.#budget.claim('bytes', moreBytes)
    this.#images = images
    this.#bytes = bytes
    this.#budget.changed('images', moreImages)
    this.#budget.changed('bytes', moreBytes)
  }

  /**
   * Adds received bytes of its body. If the budget is full, releases the permit with QUEUE_FULL instead of throwing.
   */
  receive(bytes: number): void {
    if (this.#released !== undefined) return
    try {
      this.reserve(this.#images, this.#bytes + bytes)
    } catch (error) {
      this.release(error)
    }
  }

  /** Subtracts bytes that left memory, such as those written to disk. */
  releaseBytes(bytes: number): void {
    if (this.#released === undefined) this.reserve(this.#images, Math.max(0, this.#bytes - bytes))
  }

  /** Marks the request as waiting for the engine. */
  markQueued(): void {
    this.#queued = true
  }

  /** Marks images as being computed; a negative number returns them to the waiting ones. */
  markStarted(images: number): void {
    this.#started += images
    this.#queued = false
    if (this.#released === undefined) this.#budget.changed('images', -images)
  }

  /** Gives back its images and bytes and notifies the watchers. Idempotent. */
  readonly release = (reason: unknown): void => {
    if (this.#released !== undefined) return
    this.#released = { reason }
    this.#budget.changed('images', -this.images)
    this.#budget.changed('bytes', -this.#bytes)
    this.#budget.released()
    for (const onRelease of this.#watchers) onRelease(reason)
    this.#watchers.clear()
  }

  #throwIfReleased(): void {
    if (this.#released !== undefined) throw this.#released.reason
  }
}
