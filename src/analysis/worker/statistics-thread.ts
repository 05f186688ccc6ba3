import { createHash, type Hash } from 'node:crypto'
import { parentPort, type MessagePort } from 'node:worker_threads'
import { Measure, type Measured, type Measurement, type RecordOptions } from '../../statistics/record.ts'

/** Messages to the thread. Each has one reply, in the same order. */
export type ThreadMessage =
  /** Begins a job, with or without a digest over all its tensors. */
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

/** Measures one tensor after another. An error ends the thread, and the parent receives it. */
function serveMessages(port: MessagePort): void {
  let jobHash: Hash | undefined
  let measure: Measure | undefined
  const answerTo = (message: ThreadMessage): Answer => {
    switch (message.kind) {
      case 'job':
        jobHash = message.digest ? createHash('sha256') : undefined
        return undefined
      case 'slice':
        if (message.opening) measure = new Measure(message.opening.tensor, message.opening.options, jobHash)
        return measure?.add(message.values)
      case 'digest':
        return jobHash?.digest('hex')
    }
  }
  port.on('message', (message: ThreadMessage) => {
    port.postMessage(answerTo(message))
  })
}

if (parentPort) serveMessages(parentPort)
