import { createHash, type Hash } from 'node:crypto'
import { parentPort, type MessagePort } from 'node:worker_threads'
import { Measure, type Measured, type Measurement, type RecordOptions } from '../../statistics/record.ts'

/** Messages to the thread. Each has one reply, in the same order. */
export type ThreadMessage =
  /** Begins a job, with or without a digest over all its tensors, and discards unfinished work. */
  | { readonly kind: 'job'; readonly digest: boolean }
  /** The next slice of a tensor; the first has the options. The reply to the last is the record. */
  | { readonly kind: 'slice'; readonly opening?: Opening | undefined; readonly values: Float32Array }
  /** The reply is the job's digest. */
  | { readonly kind: 'digest' }

export interface Opening {
  readonly tensor: Measured
  readonly options: RecordOptions
}

export type Answer = Measurement | string | undefined

/** Measures one tensor after another. An error ends the thread and is reported to the parent. */
function answerFrom(port: MessagePort): void {
  let all: Hash | undefined
  let measure: Measure | undefined
  const answerTo = (told: ThreadMessage): Answer => {
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
  port.on('message', (told: ThreadMessage) => {
    port.postMessage(answerTo(told))
  })
}

if (parentPort) answerFrom(parentPort)
