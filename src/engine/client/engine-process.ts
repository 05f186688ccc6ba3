import type { Logger } from 'pino'
import { tensorflowEnvironment, processors } from '../../common/platform.ts'
import { StderrFile } from '../../ipc/stderr-file.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { Worker } from '../../ipc/worker.ts'
import { SharedBatchBuffer } from '../shared-batch-buffer.ts'
import { assertBatch, batchForm, type ModelForm } from './batch-check.ts'
import type { Engine, EngineInfo, EngineMethods } from '../contract.ts'

/**
 * Settings for a process that runs sessions only: with frozen weights assumed, oneDNN keeps the first filter of a
 * shape, which would make eager convolutions wrong.
 */
const SESSION_ENVIRONMENT = {
  TF_ONEDNN_ASSUME_FROZEN_WEIGHTS: '1',
  // These threads decode a batch's JPEGs and compute the halves of a split batch.
  TF_NUM_INTEROP_THREADS: '2',
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
}

export interface EngineOptions {
  readonly logger: Logger
  /** The GPU, as in CUDA_VISIBLE_DEVICES; '' selects the CPU, undefined the library's default. */
  readonly gpu?: string | undefined
  /** Computing threads; by default one for each processor. */
  readonly threads?: number
  /** Called after a crash; the models of the process are lost. */
  readonly onLost: () => void
  /** The longest duration of a call. A longer one counts as hung, and the engine is killed. */
  readonly timeoutMs: number
}

/** Starts the engine in a child process, so that a crash in native code costs a restart of that process only. */
export function startEngine({
  logger,
  gpu,
  threads = processors(),
  onLost,
  timeoutMs,
}: EngineOptions): Engine {
  /**
   * Input shapes and classes of built models, against which batches are checked before the native session receives
   * them.
   */
  const forms = new Map<string, ModelForm>()
  const memory = SharedBatchBuffer.open()
  const stderr = StderrFile.open()
  const worker = new Worker<EngineMethods, EngineInfo>({
    name: 'engine',
    entry: childEntry('engine/worker/entry.js'),
    env: {
      ...SESSION_ENVIRONMENT,
      ...tensorflowEnvironment(threads),
      ...(gpu === undefined ? {} : { CUDA_VISIBLE_DEVICES: gpu }),
    },
    logger,
    inherits: memory?.fd,
    stderr: stderr.fd,
    onLost: () => {
      stderr.forward()
      onLost()
    },
    timeoutMs,
  })
  let builds = 0
  return {
    info: () => worker.info(),
    build: async (request) => {
      const build = ++builds
      await worker.call('begin', build, request)
      // The next step is requested after the previous one, so calls in between run first.
      for (;;) {
        const result = await worker.call('step', build)
        if (result === undefined) continue
        forms.set(request.id, batchForm(request.specification))
        return result
      }
    },
    predict: async (batch) => {
      assertBatch(batch, forms.get(batch.id))
      const placed = memory?.write(batch.values)
      if (placed === undefined) return worker.call('predict', batch)
      try {
        return await worker.call('predict', { ...batch, values: placed })
      } finally {
        memory?.free(placed)
      }
    },
    unload: (id) => {
      forms.delete(id)
      return worker.call('unload', id)
    },
    close: async () => {
      await worker.close()
      stderr.close()
      memory?.close()
    },
    get ready() {
      return worker.ready
    },
    get restarts() {
      return worker.restarts
    },
    get pid() {
      return worker.pid
    },
    concurrency: 1,
  }
}
