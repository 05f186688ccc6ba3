import type { Logger } from 'pino'
import type { CallOptions } from '../../common/cancellation.ts'
import { tensorflowEnvironment, processors } from '../../common/platform.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { Worker } from '../../ipc/worker.ts'
import type { Analysis, AnalysisMethods } from '../contract.ts'
import { AnalysisQueue, type Priority } from './analysis-queue.ts'

/** The CPU even if there is a GPU: weights are defined by the bits that the CPU draws. */
const ENVIRONMENT = { CUDA_VISIBLE_DEVICES: '' }

export interface AnalysisOptions {
  readonly logger: Logger
  /** Largest number of queued client requests. */
  readonly maxQueue: number
  /**
   * The longest duration of a step of a call. A longer one counts as hung, and the process is killed. No limit by
   * default.
   */
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
  const enqueue = <K extends keyof AnalysisMethods>(
    priority: Priority,
    control: CallOptions,
    method: K,
    ...args: Parameters<AnalysisMethods[K]>
  ): ReturnType<AnalysisMethods[K]> =>
    queue.run<unknown>(() => worker.callWith(control, method, ...args), {
      priority,
      signal: control.signal,
    }) as ReturnType<AnalysisMethods[K]>
  return {
    ready: async () => {
      await worker.info()
    },
    fillWeights: (source, names, path, control = {}) =>
      enqueue('client', control, 'fillWeights', source, names, path),
    digest: (weights, options, control = {}) => enqueue('service', control, 'digest', weights, options),
    statistics: (weights, options, control = {}) =>
      enqueue('client', control, 'statistics', weights, options),
    fit: (weightsFile, options, control = {}) => enqueue('client', control, 'fit', weightsFile, options),
    reader: async (weights, control = {}) => {
      await queue.run(() => Promise.resolve(), { priority: 'client', signal: control.signal })
      return (name, offset, count) => enqueue('admitted', control, 'read', weights, name, offset, count)
    },
    savedModel: (weights, folder, control = {}) => enqueue('client', control, 'savedModel', weights, folder),
    unitVariance: (specification, pixels, control = {}) =>
      enqueue('client', control, 'unitVariance', specification, pixels),
    tensorStatistics: (draw, options, control = {}) =>
      enqueue('client', control, 'tensorStatistics', draw, options),
    sample: (draw, control = {}) => enqueue('client', control, 'sample', draw),
    signals: (networks, request, control = {}) => enqueue('client', control, 'signals', networks, request),
    train: (training, from, maxMs, control = {}) =>
      enqueue('background', control, 'train', training, from, maxMs),
    get answering() {
      return worker.ready
    },
    close: () => worker.close(),
  }
}
