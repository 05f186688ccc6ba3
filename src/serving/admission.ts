import { once } from 'node:events'
import { ServiceError } from '../errors.ts'

export interface AdmissionOptions {
  readonly maxImages: number
  readonly maxBytes: number
}

type Measure = 'images' | 'bytes'

/** Before anything was computed, for the first Retry-After. */
const FIRST_MS_PER_IMAGE = 50
const LONGEST_RETRY_S = 60

/**
 * Who may come in. What is there is counted in images that wait and in bytes that are held, of bodies that are still on
 * their way too. Where it is full a newcomer is refused before he costs anything: unless his model holds less than its
 * share of the room, then the newest of those that wait for the model that holds most goes in his place.
 */
export class Admission {
  readonly #options: AdmissionOptions
  /** In order of coming. */
  readonly #places = new Set<Place>()
  #msPerImage = FIRST_MS_PER_IMAGE

  constructor(options: AdmissionOptions) {
    this.#options = options
  }

  get images(): number {
    return this.#held('images')
  }

  get bytes(): number {
    return this.#held('bytes')
  }

  /** A place for a request with a body this large. QUEUE_FULL where there is none. Whoever gets it leaves it. */
  admit(model: string, bytes: number): Place {
    const place: Place = new Place(model, {
      claim: (measure, amount) => {
        this.#claim(place, measure, amount)
      },
      left: () => this.#places.delete(place),
    })
    // Also a request that holds nothing yet is none that a full queue needs.
    if (this.images >= this.#options.maxImages) this.#claim(place, 'images', 1)
    place.hold(0, bytes)
    this.#places.add(place)
    return place
  }

  /** Resolves when all that were admitted for a model until now have left. */
  async left(model: string): Promise<void> {
    const signals = [...this.#places].filter((place) => place.model === model).map(({ signal }) => signal)
    await Promise.all(signals.map((signal) => once(signal, 'abort')))
  }

  /** Images were computed in this time, of whatever model. */
  computed(images: number, ms: number): void {
    this.#msPerImage = 0.8 * this.#msPerImage + 0.2 * (ms / images)
  }

  /** Makes room for so much more, or throws. On an idle service there is room for anything. */
  #claim(place: Place, measure: Measure, amount: number): void {
    const max = measure === 'images' ? this.#options.maxImages : this.#options.maxBytes
    const others = [...this.#places].filter((other) => other !== place && other[measure] > 0)
    const missing = this.#held(measure, others) + place[measure] + amount - max
    if (missing <= 0 || others.length === 0) return
    const pushed = this.#pushedOut({ place, measure, amount, others, missing, max })
    if (pushed === undefined) throw this.#full(measure)
    for (const { leave } of pushed) leave(this.#full(measure))
  }

  /** The newest that wait for whichever model holds most, until enough is free; undefined where that cannot be had. */
  #pushedOut(claim: {
    readonly place: Place
    readonly measure: Measure
    readonly amount: number
    readonly others: readonly Place[]
    readonly missing: number
    readonly max: number
  }): Place[] | undefined {
    const { place, measure, amount, others, max } = claim
    const holds = new Map<string, number>([[place.model, place[measure] + amount]])
    for (const other of others) holds.set(other.model, (holds.get(other.model) ?? 0) + other[measure])
    if ((holds.get(place.model) ?? 0) > max / holds.size) return undefined
    const candidates = others.filter((other) => other.pushable && other.model !== place.model)
    const pushed: Place[] = []
    for (let missing = claim.missing; missing > 0;) {
      const most = Math.max(...candidates.map(({ model }) => holds.get(model) ?? 0))
      const victim = candidates.findLast(({ model }) => holds.get(model) === most)
      if (victim === undefined) return undefined
      candidates.splice(candidates.indexOf(victim), 1)
      holds.set(victim.model, most - victim[measure])
      missing -= victim[measure]
      pushed.push(victim)
    }
    return pushed
  }

  #held(measure: Measure, places: Iterable<Place> = this.#places): number {
    let held = 0
    for (const place of places) held += place[measure]
    return held
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

interface Room {
  readonly claim: (measure: Measure, amount: number) => void
  readonly left: () => void
}

/** What one request holds, from its head to its answer. */
export class Place {
  readonly model: string
  readonly #room: Room
  /** Why it has left. Not a signal, which costs a request more than all else here; those who need one get it. */
  #left: { readonly reason: unknown } | undefined
  readonly #watchers = new Set<(reason: unknown) => void>()
  #images = 0
  #bytes = 0
  #begun = 0
  #pushable = false

  constructor(model: string, room: Room) {
    this.model = model
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

  /** Whether it waits for the engine and nothing of it was ever begun: another may have its place. */
  get pushable(): boolean {
    return this.#pushable
  }

  /** From now on it is so many images and so many bytes. QUEUE_FULL where there is no room for more. */
  hold(images: number, bytes: number): void {
    this.#throwIfLeft()
    if (images > this.#images) this.#room.claim('images', images - this.#images)
    if (bytes > this.#bytes) this.#room.claim('bytes', bytes - this.#bytes)
    this.#images = images
    this.#bytes = bytes
  }

  /** It waits for the engine. */
  queue(): void {
    this.#pushable = true
  }

  /** So many of its images are computed now, or (negative) wait again because they could not be. */
  begin(images: number): void {
    this.#begun += images
    this.#pushable = false
  }

  /** Gives back what it holds; whoever works for it hears why. Leaving twice is leaving once. */
  readonly leave = (reason: unknown): void => {
    if (this.#left !== undefined) return
    this.#left = { reason }
    this.#room.left()
    for (const left of this.#watchers) left(reason)
    this.#watchers.clear()
  }

  #throwIfLeft(): void {
    if (this.#left !== undefined) throw this.#left.reason
  }
}
