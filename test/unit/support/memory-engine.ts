import type { Batch, BatchResult, Engine, ImageValues, OptionalOutput } from '../../../src/engine/contract.ts'
import { ServiceError } from '../../../src/common/errors.ts'

const CLASSES = 5
const FEATURES = 2

/** The images of a batch as numbers: a pixel value, or the only byte of an encoded image. */
export function numbersOf(values: ImageValues): number[] {
  return Array.from<number | Uint8Array, number>(values, (value) =>
    typeof value === 'number' ? value : (value[0] ?? NaN),
  )
}

/** The indices of encoded images that cannot be decoded: every seventh image. */
export function undecodedOf(values: ImageValues): number[] {
  return Array.isArray(values) ? numbersOf(values).flatMap((image, at) => (image % 7 === 0 ? [at] : [])) : []
}

/** The result for one image. Every number identifies the image. */
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
 * An engine in memory. An image is one number. `step` ends the current batch with a result or a crash. The rows
 * depend on the images only, so a result for the wrong request is detected.
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

  /** Ends the batch in computation. A crash ends all batches. */
  step(outcome: 'answers' | 'crashes' = 'answers'): void {
    if (outcome === 'answers') {
      this.#waiting.shift()?.finish(false)
      return
    }
    if (this.busy) this.restarts += 1
    for (const { finish } of this.#waiting.splice(0)) finish(true)
  }

  /** The images of the unfinished batches, oldest first. */
  get current(): number[][] {
    return this.#waiting.map(({ batch }) => numbersOf(batch.values))
  }

  /** The images of all batches so far, by batch. */
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
        reject(new ServiceError('ENGINE_CRASHED', 'the engine crashed'))
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

/** Resolves after all pending promise callbacks have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
