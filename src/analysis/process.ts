import type { Logger } from 'pino'
import { childEntry, Worker } from '../workers/worker.ts'
import type { Analysis, AnalysisMethods } from './analysis.ts'

/** On the CPU even where there is a GPU: the bits of a weight are those the CPU draws. */
const ENVIRONMENT = { CUDA_VISIBLE_DEVICES: '', TF_CPP_MIN_LOG_LEVEL: '2' }

export function startAnalysis(logger: Logger): Analysis {
  const worker = new Worker<AnalysisMethods, null>({
    name: 'analysis',
    entry: childEntry('analysis/child.js'),
    env: ENVIRONMENT,
    again: true,
    logger,
  })
  return {
    ready: async () => {
      await worker.info()
    },
    digest: (...args) => worker.call('digest', ...args),
    statistics: (...args) => worker.call('statistics', ...args),
    fit: (...args) => worker.call('fit', ...args),
    read: (...args) => worker.call('read', ...args),
    unitVariance: (...args) => worker.call('unitVariance', ...args),
    tensorStatistics: (...args) => worker.call('tensorStatistics', ...args),
    sample: (...args) => worker.call('sample', ...args),
    close: () => worker.close(),
  }
}
