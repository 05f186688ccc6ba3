/** The number and the total duration of requests, or of one step of them. */
export interface Tally {
  count: number
  ms: number
}

/** The costs of one answered prediction request. */
export interface PredictionCosts {
  readonly images: number
  /** Decoding the request: from bytes to values. */
  readonly decodeMs: number
  readonly queueMs: number
  readonly computeMs: number
  /** Encoding the response: from results to bytes. */
  readonly encodeMs: number
  readonly totalMs: number
}

/** The usage of one model since the service started. */
export interface ModelUsage {
  /** Images in answered requests. */
  images: number
  /** Computed batches. */
  batches: number
  /** Unix time in ms; 0 before the first request. */
  lastUsed: number
  readonly success: Tally
  readonly fail: Tally
  readonly decode: Tally
  readonly queue: Tally
  readonly compute: Tally
  readonly encode: Tally
  /** Batches by their number of images. */
  readonly bySize: Map<number, Tally>
}

/** Beyond this number the models that were used first are removed. */
const MAX_MODELS = 10_000

/** The usage of each model over all protocols. One instance per service. */
export class Usage {
  readonly #models = new Map<string, ModelUsage>()

  of(id: string): ModelUsage {
    const known = this.#models.get(id)
    if (known !== undefined) return known
    for (const oldest of this.#models.keys()) {
      if (this.#models.size < MAX_MODELS) break
      this.#models.delete(oldest)
    }
    const usage = createUsage()
    this.#models.set(id, usage)
    return usage
  }

  answered(id: string, { images, decodeMs, queueMs, computeMs, encodeMs, totalMs }: PredictionCosts): void {
    const usage = this.of(id)
    usage.images += images
    usage.lastUsed = Date.now()
    add(usage.success, totalMs)
    add(usage.decode, decodeMs)
    add(usage.queue, queueMs)
    add(usage.compute, computeMs)
    add(usage.encode, encodeMs)
  }

  failed(id: string, ms: number): void {
    add(this.of(id).fail, ms)
  }

  computed(id: string, images: number, ms: number): void {
    const usage = this.of(id)
    usage.batches += 1
    const tally = usage.bySize.get(images) ?? { count: 0, ms: 0 }
    usage.bySize.set(images, tally)
    add(tally, ms)
  }
}

function createUsage(): ModelUsage {
  const none = (): Tally => ({ count: 0, ms: 0 })
  return {
    ...{ images: 0, batches: 0, lastUsed: 0, success: none(), fail: none() },
    ...{ decode: none(), queue: none(), compute: none(), encode: none() },
    bySize: new Map(),
  }
}

function add(tally: Tally, ms: number): void {
  tally.count += 1
  tally.ms += ms
}
