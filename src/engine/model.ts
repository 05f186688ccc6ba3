import { sizeOf } from '../initializers/fans.ts'
import { VECTORS, type Batch, type BatchResult } from './engine.ts'
import { RECIPE } from './tensorflow/recipe.ts'
import type { Images } from './tensorflow/images.ts'
import type { Feed, Session } from './tensorflow/session.ts'

/** One list for all: another one would be another executor, with filters of its own, and made while a caller waits. */
const FETCHED = ['topClasses', 'topLogits', 'topProbabilities', 'entropy', 'finite', ...VECTORS] as const
const FETCHES = FETCHED.map((name) => RECIPE[name])

/** A network whose variables are filled. Owns its sessions. */
export class Model {
  readonly #session: Session
  readonly #images: Images
  readonly #inputShape: readonly number[]

  constructor(session: Session, images: Images, inputShape: readonly number[]) {
    this.#session = session
    this.#images = images
    this.#inputShape = inputShape
  }

  predict({ values, count, ...asked }: Omit<Batch, 'id'>): BatchResult {
    if (values instanceof Float32Array)
      return this.#run(RECIPE.images, { values, shape: [count, ...this.#inputShape] }, asked)
    const images = this.#images
    const started = performance.now()
    const compute = (feed: Feed, undecoded: readonly number[] = []): BatchResult => {
      const decodeMs = performance.now() - started
      return { ...this.#run(images.input, feed, asked), undecoded, decodeMs }
    }
    return values instanceof Uint8Array
      ? images.prepared(values, count, compute)
      : images.decoded(values, compute)
  }

  #run(input: string, images: Feed, { k, vectors }: Pick<Batch, 'k' | 'vectors'>): BatchResult {
    const started = performance.now()
    const feeds = { [input]: images, [RECIPE.k]: { values: Int32Array.of(k), shape: [] } }
    const results = this.#session.hold(feeds, FETCHES)
    try {
      const read = (name: (typeof FETCHED)[number]) => results[FETCHED.indexOf(name)]?.read()
      return {
        topClasses: read('topClasses') as Int32Array,
        topLogits: read('topLogits') as Float32Array,
        topProbabilities: read('topProbabilities') as Float32Array,
        entropy: read('entropy') as Float32Array,
        finite: read('finite') as Int32Array,
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
