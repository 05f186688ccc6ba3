import type { Logger } from 'pino'
import { isCrash } from '../../common/errors.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { createLimitedLauncher } from '../../ipc/limited-launcher.ts'
import { Worker } from '../../ipc/worker.ts'
import {
  invalidImage,
  type DecodedImage,
  type DecodeOptions,
  type DecoderMethods,
} from '../decoder-contract.ts'

export interface DecoderProcessOptions {
  readonly logger: Logger
  /** The time limit for one image. */
  readonly timeoutMs: number
  /** The memory limit of a process, without the code of its libraries. */
  readonly memoryBytes: number
}

/** One image of a request. */
export interface DecodeTask {
  readonly file: Uint8Array
  readonly pointer: string
  readonly options: DecodeOptions
  /** Aborts when the image is no longer needed. */
  readonly signal: AbortSignal | undefined
}

/** The memory of a process before its first image. */
const IDLE_BYTES = 70e6
/** A file is sent in parts, because every message is copied twice. */
const PART_BYTES = 2 ** 20
/** The time for an aborted image to finish before its process is killed: a new process costs more. */
const ABORT_GRACE_MS = 200
/** A process with more memory after an image is replaced. */
const MAX_KEPT_BYTES = 160e6
const MAX_ATTEMPTS = 2
const ENVIRONMENT = {
  // One thread, and large blocks are returned to the system.
  UV_THREADPOOL_SIZE: '1',
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(2 ** 20),
}
const NODE_FLAGS = ['--expose-gc', '--v8-pool-size=0', '--max-old-space-size=64']

/** A process that decodes one image at a time. It is killed and replaced if an image exceeds the time limit. */
export class DecoderProcess {
  readonly #options: DecoderProcessOptions
  readonly #worker: Worker<DecoderMethods, null>

  constructor(options: DecoderProcessOptions) {
    this.#options = options
    this.#worker = new Worker<DecoderMethods, null>({
      name: 'decoder',
      entry: childEntry('images/worker/decoder-entry.js'),
      env: ENVIRONMENT,
      launcher: createLimitedLauncher(options.memoryBytes, NODE_FLAGS),
      disposable: true,
      logger: options.logger,
    })
  }

  /** Resolves when the process is ready; rejects if it cannot be started. */
  async started(): Promise<void> {
    await this.#worker.info()
  }

  /** Settles when the process is free again. Repeats an image once after a crash. */
  async decode(task: DecodeTask): Promise<DecodedImage> {
    const { pointer, signal } = task
    for (let attempt = 1; ; attempt++) {
      const limit = this.#startTimeLimit(signal)
      try {
        return await this.#decodeOnce(task)
      } catch (error) {
        if (!isCrash(error)) throw error
        signal?.throwIfAborted()
        if (limit.exceeded)
          throw invalidImage(
            pointer,
            `takes longer than ${String(this.#options.timeoutMs)} ms to decode (IMAGE_TIMEOUT_MS); send a smaller image`,
          )
        if (attempt === MAX_ATTEMPTS)
          throw invalidImage(pointer, 'crashes the decoder; save it again as JPEG, PNG or WebP')
      } finally {
        limit.clear()
      }
    }
  }

  close(): Promise<void> {
    return this.#worker.close()
  }

  async #decodeOnce({ file, pointer, options }: DecodeTask): Promise<DecodedImage> {
    const maxBytes = this.#options.memoryBytes - IDLE_BYTES
    for (let offset = 0; offset < file.length; offset += PART_BYTES)
      await this.#worker.call('receive', file.subarray(offset, offset + PART_BYTES), offset, file.length)
    const { residentBytes, ...image } = await this.#worker.call('decode', pointer, { ...options, maxBytes })
    if (residentBytes > MAX_KEPT_BYTES) this.#worker.replace('memory')
    return image
  }

  /** Kills the process if the image takes too long, or is aborted and does not finish soon. */
  #startTimeLimit(signal: AbortSignal | undefined): { readonly exceeded: boolean; clear: () => void } {
    let exceeded = false
    const timer = setTimeout(() => {
      exceeded = true
      this.#worker.replace('time limit')
    }, this.#options.timeoutMs)
    let abortTimer: NodeJS.Timeout | undefined
    const onAbort = (): void => {
      abortTimer = setTimeout(() => {
        this.#worker.replace('client left')
      }, ABORT_GRACE_MS)
    }
    signal?.addEventListener('abort', onAbort)
    return {
      get exceeded() {
        return exceeded
      },
      clear: () => {
        clearTimeout(timer)
        clearTimeout(abortTimer)
        signal?.removeEventListener('abort', onAbort)
      },
    }
  }
}
