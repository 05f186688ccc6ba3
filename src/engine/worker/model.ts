import { sizeOf } from '../../initializers/fans.ts'
import { OPTIONAL_OUTPUTS, type Batch, type BatchResult } from '../contract.ts'
import { RECIPE } from '../../tensorflow/recipe.ts'
import type { Images } from '../../tensorflow/image-graph.ts'
import type { Feed, Session } from '../../tensorflow/session.ts'

/**
 * Always fetch the same list: TensorFlow caches one executor per list, with its own filters, and creates it during
 * a request.
 */
const FETCHED = [
  'topClasses',
  'topLogits',
  'topProbabilities',
  'entropy',
  'finite',
  ...OPTIONAL_OUTPUTS,
] as const
const FETCHES = FETCHED.map((name) => RECIPE[name])

/** The magnitudes up to which a network's activations cannot overflow (`network/overflow.ts`). */
export interface Magnitudes {
  /** Limits for the input, and for the activations at each checkpoint. */
  readonly limits: readonly number[]
  /** The largest magnitude of preprocessed pixels. */
  readonly pixels: number
}

/** A network with assigned variables. Owns its sessions. */
export class Model {
  readonly #session: Session
  readonly #images: Images
  readonly #inputShape: readonly number[]
  readonly #magnitudes: Magnitudes

  constructor(session: Session, images: Images, inputShape: readonly number[], magnitudes: Magnitudes) {
    this.#session = session
    this.#images = images
    this.#inputShape = inputShape
    this.#magnitudes = magnitudes
  }

  predict({ values, count, ...options }: Omit<Batch, 'id'>): BatchResult {
    if (values instanceof Float32Array) {
      const feed = { values, shape: [count, ...this.#inputShape] }
      return this.#run(RECIPE.images, feed, options, (row) => findLargestMagnitude(values, row, count))
    }
    const images = this.#images
    const { pixels } = this.#magnitudes
    const started = performance.now()
    const compute = (feed: Feed, undecoded: readonly number[] = []): BatchResult => {
      const decodeMs = performance.now() - started
      return { ...this.#run(images.input, feed, options, () => pixels), undecoded, decodeMs }
    }
    return values instanceof Uint8Array
      ? images.withPixels(values, count, compute)
      : images.withJpegs(values, compute)
  }

  /** Runs a batch. `readInputMagnitude` returns the largest magnitude of a row's input. */
  #run(
    input: string,
    images: Feed,
    { k, vectors }: Pick<Batch, 'k' | 'vectors'>,
    readInputMagnitude: (row: number) => number,
  ): BatchResult {
    const { limits } = this.#magnitudes
    const checkpoints = limits.length - 1
    const started = performance.now()
    const feeds = { [input]: images, [RECIPE.k]: { values: Int32Array.of(k), shape: [] } }
    const results = this.#session.runToHandles(feeds, checkpoints > 0 ? [...FETCHES, RECIPE.peaks] : FETCHES)
    try {
      const read = (name: (typeof FETCHED)[number]) => results[FETCHED.indexOf(name)]?.read()
      const peaks = results[FETCHES.length]?.read() ?? []
      const cannotOverflow = (row: number): boolean => {
        const own = peaks.slice(row * checkpoints, (row + 1) * checkpoints)
        return [readInputMagnitude(row), ...own].every((magnitude, at) => magnitude <= (limits[at] ?? NaN))
      }
      const finite = read('finite') as Int32Array
      return {
        topClasses: read('topClasses') as Int32Array,
        topLogits: read('topLogits') as Float32Array,
        topProbabilities: read('topProbabilities') as Float32Array,
        entropy: read('entropy') as Float32Array,
        finite: finite.map((logits, row) => (cannotOverflow(row) ? logits : 0)),
        vectors: Object.fromEntries(vectors.map((vector) => [vector, read(vector) as Float32Array])),
        undecoded: [],
        decodeMs: 0,
        computeMs: performance.now() - started,
      }
    } finally {
      for (const result of results) result.close()
    }
  }

  /**
   * Runs the network before the first request, because the first run optimizes the graph and reorders filters. A
   * batch without images is enough for the optimization; oneDNN's convolutions then reject it, which is ignored.
   * `images` is the number at which every convolution of the graph runs.
   */
  *warmUp(images: number): Generator<undefined, void> {
    const options = { k: 1, vectors: [] }
    try {
      this.predict({ values: new Uint8Array(0), count: 0, ...options })
    } catch {
      // An error of the graph itself recurs in the next run.
    }
    yield
    this.predict({ values: new Uint8Array(images * sizeOf(this.#inputShape)), count: images, ...options })
  }

  close(): void {
    this.#session.close()
    this.#images.close()
  }
}

/** The largest magnitude of one row of the batch; NaN if one of its values is NaN. */
function findLargestMagnitude(values: Float32Array, row: number, count: number): number {
  const size = values.length / count
  let largest = 0
  for (let at = row * size; at < (row + 1) * size; at++) {
    const magnitude = Math.abs(values[at] ?? 0)
    if (!(magnitude <= largest)) largest = magnitude
    if (Number.isNaN(magnitude)) break
  }
  return largest
}
