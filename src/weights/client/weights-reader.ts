import type { Logger } from 'pino'
import type { CallOptions } from '../../common/cancellation.ts'
import { createShutdownError, isCrash, ServiceError, invalidWeights } from '../../common/errors.ts'
import { Mutex } from '../../common/mutex.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { createLimitedLauncher } from '../../ipc/limited-launcher.ts'
import { Worker } from '../../ipc/worker.ts'
import type { WeightsReader, WeightsReaderMethods } from '../reader-contract.ts'

/** Files are read in parts; the rest is for descriptions of many tensors and for HDF5's caches. */
const MEMORY_BYTES = 800e6
const NODE_FLAGS = ['--v8-pool-size=0', '--max-old-space-size=400']
const ENVIRONMENT = { UV_THREADPOOL_SIZE: '1', MALLOC_ARENA_MAX: '2' }
/** The time limit of one call. Files of 500 MB take seconds. */
const LIMIT_MS = 600_000
/** The longest step of a call, such as a description. */
const STEP_MS = 30_000
/** A process without a call for this time is stopped. */
const IDLE_MS = 30_000
const MAX_ATTEMPTS = 2

type Methods = WeightsReaderMethods
type Process = Worker<Methods, null>

export interface WeightsReaderOptions {
  readonly logger: Logger
  /** The longest step of a call, in ms. */
  readonly stepMs?: number
}

/** Starts no process before the first call. */
export function createWeightsReader(options: WeightsReaderOptions): WeightsReader {
  const reader = new ReaderProcess(options)
  return {
    describe: (parts, control = {}) => reader.call(control, 'describe', parts),
    convert: (parts, tensors, target, control = {}) =>
      reader.call(control, 'convert', parts, tensors, target),
    close: () => reader.close(),
  }
}

/** A process that is started for a call, kept while calls follow, and killed if a call is aborted or takes too long. */
class ReaderProcess {
  readonly #options: WeightsReaderOptions
  readonly #mutex = new Mutex()
  #worker: Process | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #closing = false

  constructor(options: WeightsReaderOptions) {
    this.#options = options
  }

  call<K extends keyof Methods>(
    control: Pick<CallOptions, 'signal'>,
    method: K,
    ...args: Parameters<Methods[K]>
  ): ReturnType<Methods[K]> {
    const result = this.#mutex.runExclusive(() => this.#retry(control.signal, method, args))
    return result as ReturnType<Methods[K]>
  }

  async close(): Promise<void> {
    this.#closing = true
    await this.#stop()
  }

  /** Repeats a call once after a crash: the system may have killed the process. */
  async #retry<K extends keyof Methods>(
    signal: AbortSignal | undefined,
    method: K,
    args: Parameters<Methods[K]>,
  ): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      this.#assertOpen()
      signal?.throwIfAborted()
      try {
        return await this.#callOnce(signal, method, args)
      } catch (error) {
        this.#assertOpen()
        if (error instanceof ServiceError && error.code === 'INTERNAL') throw this.#defect(error)
        if (!isCrash(error)) throw error
        if (attempt === MAX_ATTEMPTS)
          throw invalidWeights(
            'cannot be read: it crashes the reader, or the reader takes too long; save the weights again, as safetensors',
          )
      }
    }
  }

  async #callOnce<K extends keyof Methods>(
    signal: AbortSignal | undefined,
    method: K,
    args: Parameters<Methods[K]>,
  ): Promise<unknown> {
    clearTimeout(this.#idleTimer)
    const worker = (this.#worker ??= this.#start())
    const timer = setTimeout(() => {
      worker.replace('time limit')
    }, LIMIT_MS)
    try {
      return await worker.callWith(signal ? { signal } : {}, method, ...args)
    } catch (error) {
      // An aborted call would go on, and a failed one may have left memory behind.
      if (!(error instanceof ServiceError && error.code === 'INVALID_WEIGHTS')) await this.#stop()
      throw error
    } finally {
      clearTimeout(timer)
      this.#idleTimer = setTimeout(() => void this.#stop(), IDLE_MS).unref()
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw createShutdownError()
  }

  #start(): Process {
    return new Worker<Methods, null>({
      name: 'weights reader',
      entry: childEntry('weights/worker/reader-entry.js'),
      env: ENVIRONMENT,
      launcher: createLimitedLauncher(MEMORY_BYTES, NODE_FLAGS),
      disposable: true,
      timeoutMs: this.#options.stepMs ?? STEP_MS,
      logger: this.#options.logger,
    })
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#idleTimer)
    const worker = this.#worker
    this.#worker = undefined
    await worker?.close()
  }

  #defect(error: ServiceError): ServiceError {
    this.#options.logger.error({ err: error }, 'a weights file causes an error in its reader')
    return invalidWeights(
      'cannot be read: it is damaged, or of a kind that this service does not read; save the weights again, as safetensors',
    )
  }
}
