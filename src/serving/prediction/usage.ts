/** A number of events and their total duration. The events are requests, batches, or one step of requests. */
export interface DurationSum {
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
  readonly success: DurationSum
  readonly fail: DurationSum
  readonly decode: DurationSum
  readonly queue: DurationSum
  readonly compute: DurationSum
  readonly encode: DurationSum
  /** Batches by their number of images. */
  readonly bySize: Map<number, DurationSum>
}

/** The number of models with counters. The model that was first used the longest ago is removed for a new one. */
const MAX_MODELS = 10_000

/** The usage of each model over all protocols. One instance per service. */
export class Usage {
  readonly #models = new Map<string, ModelUsage>()

  /** Returns the counters of a model, and creates them at zero if there are none. */
  getOrCreate(id: string): ModelUsage {
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
    const usage = this.getOrCreate(id)
    usage.images += images
    usage.lastUsed = Date.now()
    add(usage.success, totalMs)
    add(usage.decode, decodeMs)
    add(usage.queue, queueMs)
    add(usage.compute, computeMs)
    add(usage.encode, encodeMs)
  }

  failed(id: string, ms: number): void {
    add(this.getOrCreate(id).fail, ms)
  }

  computed(id: string, images: number, ms: number): void {
    const usage = this.getOrCreate(id)
    usage.batches += 1
    const sum = usage.bySize.get(images) ?? { count: 0, ms: 0 }
    usage.bySize.set(images, sum)
    add(sum, ms)
  }
}

function createUsage(): ModelUsage {
  const zero = (): DurationSum => ({ count: 0, ms: 0 })
  return {
    ...{ images: 0, batches: 0, lastUsed: 0, success: zero(), fail: zero() },
    ...{ decode: zero(), queue: zero(), compute: zero(), encode: zero() },
    bySize: new Map(),
  }
}

function add(sum: DurationSum, ms: number): void {
  sum.count += 1
  sum.ms += ms
}
