/** What requests of one kind, or one step of them, amount to. */
export interface Tally {
  count: number
  ms: number
}

/** What one answered prediction request cost. */
export interface PredictionCosts {
  readonly images: number
  /** From bytes to values. */
  readonly decodeMs: number
  readonly queueMs: number
  readonly computeMs: number
  /** From results to bytes. */
  readonly encodeMs: number
  readonly totalMs: number
}

/** What one model has done since the service started. */
export interface ModelUsage {
  /** Images answered. */
  images: number
  /** Batches computed. */
  batches: number
  /** Unix time in ms; 0 before the first. */
  lastUsed: number
  readonly success: Tally
  readonly fail: Tally
  readonly decode: Tally
  readonly queue: Tally
  readonly compute: Tally
  readonly encode: Tally
  /** Batches by how many images they had. */
  readonly bySize: Map<number, Tally>
}

/** Those of the longest ago are forgotten beyond this many. */
const MAX_MODELS = 10_000

/** What each model has done, whichever protocol asked. One per service. */
export class Usage {
  readonly #models = new Map<string, ModelUsage>()

  of(id: string): ModelUsage {
    const known = this.#models.get(id)
    if (known !== undefined) return known
    for (const oldest of this.#models.keys()) {
      if (this.#models.size < MAX_MODELS) break
      this.#models.delete(oldest)
    }
    const usage = nothing()
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

function nothing(): ModelUsage {
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
