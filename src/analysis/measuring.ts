import { createHash, type Hash } from 'node:crypto'
import { parentPort, type MessagePort } from 'node:worker_threads'
import { Measure, type Measured, type Measurement, type RecordOptions } from '../statistics/record.ts'

/** What the thread is told, in order. Each is answered, in the same order. */
export type Told =
  /** A job begins, with a digest over all its tensors or without; what another left undone is forgotten. */
  | { readonly kind: 'job'; readonly digest: boolean }
  /** A tensor's next slice, the first with what to measure. The last is answered by the record. */
  | { readonly kind: 'slice'; readonly opening?: Opening | undefined; readonly values: Float32Array }
  /** Answered by the digest of the job. */
  | { readonly kind: 'digest' }

export interface Opening {
  readonly tensor: Measured
  readonly options: RecordOptions
}

export type Answer = Measurement | string | undefined

/** Measures what it is sent, one tensor after another. What goes wrong ends the thread, and its parent is told. */
function answerFrom(port: MessagePort): void {
  let all: Hash | undefined
  let measure: Measure | undefined
  const answerTo = (told: Told): Answer => {
    switch (told.kind) {
      case 'job':
        all = told.digest ? createHash('sha256') : undefined
        return undefined
      case 'slice':
        if (told.opening) measure = new Measure(told.opening.tensor, told.opening.options, all)
        return measure?.add(told.values)
      case 'digest':
        return all?.digest('hex')
    }
  }
  port.on('message', (told: Told) => {
    port.postMessage(answerTo(told))
  })
}

if (parentPort) answerFrom(parentPort)
