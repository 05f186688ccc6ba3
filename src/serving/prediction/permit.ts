export type Measure = 'images' | 'bytes'

/** How a body comes in: as fast as others, far slower, or with next to no progress. */
type Arrival = 'steady' | 'slow' | 'stalled'

/** Who asks, and of what. */
export interface Asker {
  /** A key's name or an address. */
  readonly client: string
  readonly model: string
}

/** What a place asks of the room that it is in. */
interface Room {
  /** Makes room for so much more, or throws QUEUE_FULL. */
  readonly claim: (measure: Measure, amount: number) => void
  /** So much more is held now, or less where it is negative. */
  readonly changed: (measure: Measure, difference: number) => void
  readonly left: () => void
}

/** What one request holds, from its head to its answer. */
export class Place implements Asker {
  readonly client: string
  readonly model: string
  /** Rises from place to place. */
  readonly order: number
  /** Of a body that is on its way; undefined once it is whole. */
  arrival: Arrival | undefined
  readonly #room: Room
  /** Why it has left. Not a signal, which costs a request more than all else here; those who need one get it. */
  #left: { readonly reason: unknown } | undefined
  readonly #watchers = new Set<(reason: unknown) => void>()
  #images = 0
  #bytes = 0
  #begun = 0
  #queued = false

  constructor({ client, model }: Asker, order: number, room: Room) {
    this.client = client
    this.model = model
    this.order = order
    this.#room = room
  }

  /** Calls once it leaves, with the reason; not any more when what this returns was called. Throws where it has left. */
  watch(left: (reason: unknown) => void): () => void {
    this.#throwIfLeft()
    this.#watchers.add(left)
    return () => this.#watchers.delete(left)
  }

  /** Aborted when the request has left, with the reason. */
  get signal(): AbortSignal {
    const controller = new AbortController()
    if (this.#left !== undefined) controller.abort(this.#left.reason)
    else
      this.#watchers.add((reason) => {
        controller.abort(reason)
      })
    return controller.signal
  }

  /** Images that wait: to be decoded, or for the engine. */
  get images(): number {
    return this.#images - this.#begun
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether another may have its place: its body is on its way, or it waits for the engine and nothing of it was ever begun. */
  get evictable(): boolean {
    return this.#queued || this.arrival !== undefined
  }

  /** From now on it is so many images and so many bytes. QUEUE_FULL where there is no room for more. */
  hold(images: number, bytes: number): void {
    this.#throwIfLeft()
    const [moreImages, moreBytes] = [images - this.#images, bytes - this.#bytes]
    if (moreImages > 0) this.#room.claim('images', moreImages)
    if (moreBytes > 0) this.#room.claim('bytes', moreBytes)
    this.#images = images
    this.#bytes = bytes
    this.#room.changed('images', moreImages)
    this.#room.changed('bytes', moreBytes)
  }

  /** So many bytes of its body have come. Where there is no room for them it leaves. */
  receive(bytes: number): void {
    if (this.#left !== undefined) return
    try {
      this.hold(this.#images, this.#bytes + bytes)
    } catch (error) {
      this.leave(error)
    }
  }

  /** So many bytes have gone elsewhere, such as onto the disk. */
  release(bytes: number): void {
    if (this.#left === undefined) this.hold(this.#images, Math.max(0, this.#bytes - bytes))
  }

  /** It waits for the engine. */
  queue(): void {
    this.#queued = true
  }

  /** So many of its images are computed now, or (negative) wait again because they could not be. */
  begin(images: number): void {
    this.#begun += images
    this.#queued = false
    if (this.#left === undefined) this.#room.changed('images', -images)
  }

  /** Gives back what it holds; whoever works for it hears why. Leaving twice is leaving once. */
  readonly leave = (reason: unknown): void => {
    if (this.#left !== undefined) return
    this.#left = { reason }
    this.#room.changed('images', -this.images)
    this.#room.changed('bytes', -this.#bytes)
    this.#room.left()
    for (const left of this.#watchers) left(reason)
    this.#watchers.clear()
  }

  #throwIfLeft(): void {
    if (this.#left !== undefined) throw this.#left.reason
  }
}
