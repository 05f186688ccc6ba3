import type { Batch, BatchResult, Engine, ImageValues, OptionalOutput } from '../../../src/engine/contract.ts'
import { ServiceError } from '../../../src/common/errors.ts'

const CLASSES = 5
const FEATURES = 2

/** The images of a batch of any kind: a number is itself, or the one byte of something encoded. */
export function numbersOf(values: ImageValues): number[] {
  return Array.from<number | Uint8Array, number>(values, (value) =>
    typeof value === 'number' ? value : (value[0] ?? NaN),
  )
}

/** Every seventh of what is encoded cannot be decoded. */
export function undecodedOf(values: ImageValues): number[] {
  return Array.isArray(values) ? numbersOf(values).flatMap((image, at) => (image % 7 === 0 ? [at] : [])) : []
}

/** What the engine answers for one image: every number tells which image it belongs to. */
export function answerFor(image: number) {
  const logits = Array.from({ length: CLASSES }, (_, i) => image + i / 8)
  return {
    logits,
    probabilities: logits.map((logit) => -logit),
    features: Array.from({ length: FEATURES }, (_, i) => image * 2 + i),
    topClasses: Array.from({ length: CLASSES }, (_, i) => CLASSES - 1 - i),
  }
}

interface Waiting {
  readonly batch: Batch
  readonly finish: (crashes: boolean) => void
}

/**
 * An engine in memory: an image is one number, and a batch is computed when the test says so, or dies then. Its rows
 * follow from its images alone, so an answer that went to the wrong request shows.
 */
export class MemoryEngine implements Engine {
  readonly batches: Batch[] = []
  readonly #waiting: Waiting[] = []
  restarts = 0
  readonly pid = undefined
  readonly ready = true
  readonly concurrency: number

  constructor(concurrency = 1) {
    this.concurrency = concurrency
  }

  get busy(): boolean {
    return this.#waiting.length > 0
  }

  /** Ends the batch that is being computed; one that crashes takes with it what else is there. */
  step(outcome: 'answers' | 'crashes' = 'answers'): void {
    if (outcome === 'answers') {
      this.#waiting.shift()?.finish(false)
      return
    }
    if (this.busy) this.restarts += 1
    for (const { finish } of this.#waiting.splice(0)) finish(true)
  }

  /** The images of the batches that it was sent and has not ended, oldest first. */
  get current(): number[][] {
    return this.#waiting.map(({ batch }) => numbersOf(batch.values))
  }

  /** The images of the batches there were, each batch with its own. */
  get images(): number[][] {
    return this.batches.map(({ values }) => numbersOf(values))
  }

  predict(batch: Batch): Promise<BatchResult> {
    this.batches.push(batch)
    return new Promise((resolve, reject) => {
      const finish = (crashes: boolean): void => {
        if (!crashes) {
          resolve(resultOf(batch))
          return
        }
        reject(new ServiceError('ENGINE_CRASHED', 'the engine died'))
      }
      this.#waiting.push({ batch, finish })
    })
  }

  info() {
    return Promise.resolve({
      backend: 'tensorflow',
      device: 'CPU',
      library_version: '0',
      multiplies_bfloat16: true,
    } as const)
  }

  build() {
    return Promise.resolve({ seal: '', artifactBytes: 0 })
  }

  unload() {
    return Promise.resolve()
  }

  close() {
    return Promise.resolve()
  }
}

function resultOf({ values, k, vectors }: Batch): BatchResult {
  const images = numbersOf(values)
  const rows = images.map(answerFor)
  const top = (of: readonly number[][]): Float32Array =>
    Float32Array.from(
      rows.flatMap(({ topClasses }, i) => topClasses.slice(0, k).map((c) => of[i]?.[c] ?? NaN)),
    )
  const wanted = (vector: OptionalOutput) => Float32Array.from(rows.flatMap((row) => row[vector]))
  return {
    topClasses: Int32Array.from(rows.flatMap((row) => row.topClasses.slice(0, k))),
    topLogits: top(rows.map(({ logits }) => logits)),
    topProbabilities: top(rows.map(({ probabilities }) => probabilities)),
    entropy: Float32Array.from(images),
    finite: Int32Array.from(images, (image) => image % 2),
    vectors: Object.fromEntries(vectors.map((vector) => [vector, wanted(vector)])),
    undecoded: undecodedOf(values),
    decodeMs: 0,
    computeMs: 1,
  }
}

/** Lets everything that is ready to run, run: promises and what they start. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
