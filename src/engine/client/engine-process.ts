import type { Logger } from 'pino'
import { tensorflowEnvironment, processors } from '../../common/platform.ts'
import { StderrFile } from '../../ipc/stderr-file.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { Worker } from '../../ipc/worker.ts'
import { SharedBatchBuffer } from '../shared-batch-buffer.ts'
import { assertBatch, batchForm, type ModelForm } from './batch-check.ts'
import type { Engine, EngineInfo, EngineMethods } from '../contract.ts'

/**
 * What makes this process fast makes eager convolutions wrong: with frozen weights assumed, oneDNN keeps the first
 * filter of a shape. So it is set for the process that runs sessions only, and that one runs nothing eagerly.
 */
const SESSION_ENVIRONMENT = {
  TF_ONEDNN_ASSUME_FROZEN_WEIGHTS: '1',
  // A batch's JPEGs are decoded by these, and its halves computed.
  TF_NUM_INTEROP_THREADS: '2',
  TF_FORCE_GPU_ALLOW_GROWTH: 'true',
}

export interface EngineOptions {
  readonly logger: Logger
  /** The GPU it computes on, as CUDA_VISIBLE_DEVICES names it; '' is the CPU, and nothing what the library finds. */
  readonly gpu?: string | undefined
  /** Threads it computes with; one for each processor, unless said. */
  readonly threads?: number
  /** The engine died; the models it held are gone. */
  readonly onLost: () => void
  /** Longest a call may take before the engine counts as hung and is killed. */
  readonly timeoutMs: number
}

/** The engine in a child process, so that a crash in native code costs a restart and not the service. */
export function startEngine({
  logger,
  gpu,
  threads = processors(),
  onLost,
  timeoutMs,
}: EngineOptions): Engine {
  /** Of models that were built; the session would not notice a batch that does not fit. */
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
      // A step is asked for when the one before is done, so whatever was asked meanwhile comes first.
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
