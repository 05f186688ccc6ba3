import type { Logger } from 'pino'
import { childEntry, Worker } from '../workers/worker.ts'
import { assertBatch, formOf, type ModelForm } from './batch-check.ts'
import type { Engine, EngineInfo, EngineMethods } from './engine.ts'

/**
 * What makes this process fast makes eager convolutions wrong: with frozen weights assumed, oneDNN keeps the first
 * filter of a shape. So it is set for the process that runs sessions only, and that one runs nothing eagerly.
 */
const SESSION_ENVIRONMENT = {
  TF_ONEDNN_ASSUME_FROZEN_WEIGHTS: '1',
  TF_NUM_INTEROP_THREADS: '1',
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
  TF_CPP_MIN_LOG_LEVEL: '2',
}

export interface EngineOptions {
  readonly logger: Logger
  /** The engine died; the models it held are gone. */
  readonly onLost: () => void
  /** Longest a call may take before the engine counts as hung and is killed. */
  readonly timeoutMs: number
}

/** The engine in a child process, so that a crash in native code costs a restart and not the service. */
export function startEngine({ logger, onLost, timeoutMs }: EngineOptions): Engine {
  /** Of models that were built; the session would not notice a batch that does not fit. */
  const forms = new Map<string, ModelForm>()
  const worker = new Worker<EngineMethods, EngineInfo>({
    name: 'engine',
    entry: childEntry('engine/child.js'),
    env: SESSION_ENVIRONMENT,
    logger,
    onLost,
    timeoutMs,
  })
  return {
    info: () => worker.info(),
    build: async (request) => {
      const result = await worker.call('build', request)
      forms.set(request.id, formOf(request.specification))
      return result
    },
    predict: async (batch) => {
      assertBatch(batch, forms.get(batch.id))
      return worker.call('predict', batch)
    },
    unload: (id) => {
      forms.delete(id)
      return worker.call('unload', id)
    },
    close: () => worker.close(),
    get ready() {
      return worker.ready
    },
    get restarts() {
      return worker.restarts
    },
    get pid() {
      return worker.pid
    },
  }
}
