import { sizeOf } from '../initializers/fans.ts'
import type { Batch, BatchResult } from './engine.ts'
import { RECIPE } from './tensorflow/recipe.ts'
import type { Session } from './tensorflow/session.ts'

/** One list for all: another one would be another executor, with filters of its own, and made while a caller waits. */
const FETCHES = (['logits', 'probabilities', 'entropy', 'topLogits', 'topClasses', 'features'] as const).map(
  (name) => RECIPE[name],
)
type Fetched = [Float32Array, Float32Array, Float32Array, Float32Array, Int32Array, Float32Array]

/** A network whose variables are filled. Owns its session. */
export class Model {
  readonly #session: Session
  readonly #inputShape: readonly number[]

  constructor(session: Session, inputShape: readonly number[]) {
    this.#session = session
    this.#inputShape = inputShape
  }

  run({ values, count, k, features }: Omit<Batch, 'id'>): BatchResult {
    const started = performance.now()
    const input = values instanceof Uint8Array ? RECIPE.pixels : RECIPE.images
    const feeds = {
      [input]: { values, shape: [count, ...this.#inputShape] },
      [RECIPE.k]: { values: Int32Array.of(k), shape: [] },
    }
    const results = this.#session.run(feeds, FETCHES) as Fetched
    const [logits, probabilities, entropy, topLogits, topClasses, featureRows] = results
    const computeMs = performance.now() - started
    const asked = features ? featureRows : undefined
    return { logits, probabilities, entropy, topLogits, topClasses, features: asked, computeMs }
  }

  /** The first run optimizes the graph and reorders filters; no caller should wait for that. */
  warmUp(): void {
    const values = new Uint8Array(sizeOf(this.#inputShape))
    this.run({ values, count: 1, k: 1, features: false })
  }

  close(): void {
    this.#session.close()
  }
}
