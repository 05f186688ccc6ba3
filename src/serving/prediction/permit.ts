export type Measure = 'images' | 'bytes'

/** How a body comes in: as fast as others, far slower, or with next to no progress. */
type Arrival = 'steady' | 'slow' | 'stalled'

/** Who asks, and of what. */
export interface Requester {
  /** A key's name or an address. */
  readonly client: string
  readonly model: string
}

/** What a place asks of the room that it is in. */
interface Budget {
  /** Makes room for so much more, or throws QUEUE_FULL. */
  readonly claim: (measure: Measure, amount: number) => void
  /** So much more is held now, or less where it is negative. */
  readonly changed: (measure: Measure, difference: number) => void
  readonly drained: () => void
}

/** What one request holds, from its head to its answer. */
export class Permit implements Requester {
  readonly client: string
  readonly model: string
  /** Rises from place to place. */
  readonly order: number
  /** Of a body that is on its way; undefined once it is whole. */
  arrival: Arrival | undefined
  readonly #budget: Budget
  /** Why it has left. Not a signal, which costs a request more than all else here; those who need one get it. */
  #released: { readonly reason: unknown } | undefined
  readonly #watchers = new Set<(reason: unknown) => void>()
  #images = 0
  #bytes = 0
  #started = 0
  #queued = false

  constructor({ client, model }: Requester, order: number, room: Budget) {
    this.client = client
    this.model = model
    this.order = order
    this.#budget = room
  }

  /** Calls once it leaves, with the reason; not any more when what this returns was called. Throws where it has left. */
  watch(left: (reason: unknown) => void): () => void {
    this.#throwIfReleased()
    this.#watchers.add(left)
    return () => this.#watchers.delete(left)
  }

  /** Aborted when the request has left, with the reason. */
  get signal(): AbortSignal {
    const controller = new AbortController()
    if (this.#released !== undefined) controller.abort(this.#released.reason)
    else
      this.#watchers.add((reason) => {
        controller.abort(reason)
      })
    return controller.signal
  }

  /** Images that wait: to be decoded, or for the engine. */
  get images(): number {
    return this.#images - this.#started
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether another may have its place: its body is on its way, or it waits for the engine and nothing of it was ever begun. */
  get evictable(): boolean {
    return this.#queued || this.arrival !== undefined
  }

  /** From now on it is so many images and so many bytes. QUEUE_FULL where there is no room for more. */
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

  /** So many bytes of its body have come. Where there is no room for them it leaves. */
  receive(bytes: number): void {
    if (this.#released !== undefined) return
    try {
      this.reserve(this.#images, this.#bytes + bytes)
    } catch (error) {
      this.release(error)
    }
  }

  /** So many bytes have gone elsewhere, such as onto the disk. */
  releaseBytes(bytes: number): void {
    if (this.#released === undefined) this.reserve(this.#images, Math.max(0, this.#bytes - bytes))
  }

  /** It waits for the engine. */
  markQueued(): void {
    this.#queued = true
  }

  /** So many of its images are computed now, or (negative) wait again because they could not be. */
  markStarted(images: number): void {
    this.#started += images
    this.#queued = false
    if (this.#released === undefined) this.#budget.changed('images', -images)
  }

  /** Gives back what it holds; whoever works for it hears why. Leaving twice is leaving once. */
  readonly release = (reason: unknown): void => {
    if (this.#released !== undefined) return
    this.#released = { reason }
    this.#budget.changed('images', -this.images)
    this.#budget.changed('bytes', -this.#bytes)
    this.#budget.drained()
    for (const left of this.#watchers) left(reason)
    this.#watchers.clear()
  }

  #throwIfReleased(): void {
    if (this.#released !== undefined) throw this.#released.reason
  }
}
