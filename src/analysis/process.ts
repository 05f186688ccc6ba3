import type { Logger } from 'pino'
import { processors } from '../machine.ts'
import { childEntry, Worker } from '../workers/worker.ts'
import type { Analysis, AnalysisMethods } from './analysis.ts'

/** On the CPU even where there is a GPU: the bits of a weight are those the CPU draws. */
const ENVIRONMENT = { CUDA_VISIBLE_DEVICES: '', TF_CPP_MIN_LOG_LEVEL: '2' }

export function startAnalysis(logger: Logger): Analysis {
  const threads = String(processors())
  const worker = new Worker<AnalysisMethods, null>({
    name: 'analysis',
    entry: childEntry('analysis/child.js'),
    env: { ...ENVIRONMENT, TF_NUM_INTRAOP_THREADS: threads, OMP_NUM_THREADS: threads },
    again: true,
    logger,
  })
  return {
    ready: async () => {
      await worker.info()
    },
    digest: (...args) => worker.call('digest', ...args),
    statistics: (...args) => worker.call('statistics', ...args),
    read: (...args) => worker.call('read', ...args),
    tensorStatistics: (...args) => worker.call('tensorStatistics', ...args),
    sample: (...args) => worker.call('sample', ...args),
    close: () => worker.close(),
  }
}
