import type { Logger } from 'pino'
import type { RecordOptions, TensorStatistics } from '../statistics/record.ts'
import { childEntry, Worker } from '../workers/worker.ts'
import type { Analysis, ModelStatistics, TensorDraw, WeightsSource } from './analysis.ts'

type Statistics = WeightsSource & { readonly options: RecordOptions & { readonly match?: string } }
type Read = WeightsSource & { readonly name: string; readonly offset: number; readonly count: number }

export interface AnalysisMethods {
  readonly digest: { readonly params: WeightsSource & { readonly buffers: boolean }; readonly result: string }
  readonly statistics: { readonly params: Statistics; readonly result: ModelStatistics }
  readonly read: { readonly params: Read; readonly result: Float32Array }
  readonly tensorStatistics: {
    readonly params: TensorDraw & { readonly options: RecordOptions }
    readonly result: TensorStatistics
  }
  readonly sample: { readonly params: TensorDraw; readonly result: Float32Array }
}

/** On the CPU even where there is a GPU: the bits of a weight are those the CPU draws. */
const ENVIRONMENT = { CUDA_VISIBLE_DEVICES: '', TF_CPP_MIN_LOG_LEVEL: '2' }

export function startAnalysis(logger: Logger): Analysis {
  const worker = new Worker<AnalysisMethods, null>({
    name: 'analysis',
    entry: childEntry('analysis/child.js'),
    env: ENVIRONMENT,
    logger,
  })
  return {
    ready: async () => {
      await worker.info
    },
    digest: (weights, { buffers }) => worker.call('digest', { ...weights, buffers }),
    statistics: (weights, options) => worker.call('statistics', { ...weights, options }),
    read: (weights, name, offset, count) => worker.call('read', { ...weights, name, offset, count }),
    tensorStatistics: (draw, options) => worker.call('tensorStatistics', { ...draw, options }),
    sample: (draw) => worker.call('sample', draw),
    close: () => worker.close(),
  }
}
