import type { Logger } from 'pino'
import type { CallOptions } from '../../common/cancellation.ts'
import { tensorflowEnvironment, processors } from '../../common/platform.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { Worker } from '../../ipc/worker.ts'
import type { Analysis, AnalysisMethods } from '../contract.ts'
import { AnalysisQueue, type Priority } from './analysis-queue.ts'

/** On the CPU even where there is a GPU: the bits of a weight are those the CPU draws. */
const ENVIRONMENT = { CUDA_VISIBLE_DEVICES: '' }

export interface AnalysisOptions {
  readonly logger: Logger
  /** Clients' questions that may wait. */
  readonly maxQueue: number
  /** Longest one step of a call may take before the process counts as hung and is killed; no limit, unless said. */
  readonly timeoutMs?: number
}

export function startAnalysis({ logger, maxQueue, ...options }: AnalysisOptions): Analysis {
  const worker = new Worker<AnalysisMethods, null>({
    name: 'analysis',
    entry: childEntry('analysis/worker/entry.js'),
    env: { ...ENVIRONMENT, ...tensorflowEnvironment(processors()) },
    retryOnCrash: true,
    logger,
    ...options,
  })
  const queue = new AnalysisQueue(maxQueue)
  const inTurn = <K extends keyof AnalysisMethods>(
    claim: Priority,
    control: CallOptions,
    method: K,
    ...args: Parameters<AnalysisMethods[K]>
  ): ReturnType<AnalysisMethods[K]> =>
    queue.run<unknown>(() => worker.callWith(control, method, ...args), {
      priority: claim,
      signal: control.signal,
    }) as ReturnType<AnalysisMethods[K]>
  return {
    ready: async () => {
      await worker.info()
    },
    digest: (weights, options, control = {}) => inTurn('service', control, 'digest', weights, options),
    statistics: (weights, options, control = {}) => inTurn('client', control, 'statistics', weights, options),
    fit: (weightsFile, options, control = {}) => inTurn('client', control, 'fit', weightsFile, options),
    reader: async (weights, control = {}) => {
      await queue.run(() => Promise.resolve(), { priority: 'client', signal: control.signal })
      return (name, offset, count) => inTurn('admitted', control, 'read', weights, name, offset, count)
    },
    savedModel: (weights, folder, control = {}) => inTurn('client', control, 'savedModel', weights, folder),
    unitVariance: (specification, pixels, control = {}) =>
      inTurn('client', control, 'unitVariance', specification, pixels),
    tensorStatistics: (draw, options, control = {}) =>
      inTurn('client', control, 'tensorStatistics', draw, options),
    sample: (draw, control = {}) => inTurn('client', control, 'sample', draw),
    signals: (networks, request, control = {}) => inTurn('client', control, 'signals', networks, request),
    train: (training, from, maxMs, control = {}) =>
      inTurn('background', control, 'train', training, from, maxMs),
    get answering() {
      return worker.ready
    },
    close: () => worker.close(),
  }
}
