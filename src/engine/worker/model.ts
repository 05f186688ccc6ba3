import { sizeOf } from '../../initializers/fans.ts'
import { OPTIONAL_OUTPUTS, type Batch, type BatchResult } from '../contract.ts'
import { RECIPE } from '../../tensorflow/recipe.ts'
import type { Images } from '../../tensorflow/image-graph.ts'
import type { Feed, Session } from '../../tensorflow/session.ts'

/** One list for all: another one would be another executor, with filters of its own, and made while a caller waits. */
const FETCHED = [
  'topClasses',
  'topLogits',
  'topProbabilities',
  'entropy',
  'finite',
  ...OPTIONAL_OUTPUTS,
] as const
const FETCHES = FETCHED.map((name) => RECIPE[name])

/** From which magnitudes a network's activations cannot overflow (`network/overflow.ts`). */
export interface Magnitudes {
  /** Of the input, and of the activations at each checkpoint. */
  readonly limits: readonly number[]
  /** What preprocessed pixels are at most. */
  readonly pixels: number
}

/** A network whose variables are filled. Owns its sessions. */
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

  predict({ values, count, ...asked }: Omit<Batch, 'id'>): BatchResult {
    if (values instanceof Float32Array) {
      const feed = { values, shape: [count, ...this.#inputShape] }
      return this.#run(RECIPE.images, feed, asked, (row) => findLargestMagnitude(values, row, count))
    }
    const images = this.#images
    const { pixels } = this.#magnitudes
    const started = performance.now()
    const compute = (feed: Feed, undecoded: readonly number[] = []): BatchResult => {
      const decodeMs = performance.now() - started
      return { ...this.#run(images.input, feed, asked, () => pixels), undecoded, decodeMs }
    }
    return values instanceof Uint8Array
      ? images.prepared(values, count, compute)
      : images.decoded(values, compute)
  }

  /** `inputOf` tells the largest magnitude of a row's input. */
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
   * The first run optimizes the graph and reorders filters; no caller should wait for that. A batch of no images is enough
   * for the former; that oneDNN's convolutions refuse it afterwards says nothing. `images` are as many as it takes for
   * every convolution of the graph to run.
   */
  *warmUp(images: number): Generator<undefined, void> {
    const asked = { k: 1, vectors: [] }
    try {
      this.predict({ values: new Uint8Array(0), count: 0, ...asked })
    } catch {
      // What is wrong with the graph itself is told by the run that follows.
    }
    yield
    this.predict({ values: new Uint8Array(images * sizeOf(this.#inputShape)), count: images, ...asked })
  }

  close(): void {
    this.#session.close()
    this.#images.close()
  }
}

/** Of one row of several; NaN where one of its values is. */
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
