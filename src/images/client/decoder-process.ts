import { existsSync, readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { isCrash } from '../../common/errors.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { Worker } from '../../ipc/worker.ts'
import {
  invalidImage,
  type DecodedImage,
  type DecodeOptions,
  type DecoderMethods,
} from '../decoder-contract.ts'

export interface DecoderProcessOptions {
  readonly logger: Logger
  /** Longest one image may take. */
  readonly timeoutMs: number
  /** Memory that a process may have, its libraries' code aside. */
  readonly memoryBytes: number
}

/** One image of a request. */
export interface DecodeTask {
  readonly file: Uint8Array
  readonly pointer: string
  readonly options: DecodeOptions
  /** Aborts when the image is no longer wanted. */
  readonly signal: AbortSignal | undefined
}

/** What a process has before its first image. */
const IDLE_BYTES = 70e6
/** A file is sent in parts, because a message is copied twice. */
const PART_BYTES = 2 ** 20
/** An image that is no longer wanted gets this long to finish, since a new process costs more. */
const ABANDONED_MS = 200
/** A decoder that keeps more after an image is replaced. */
const MAX_KEPT_BYTES = 160e6
const MAX_ATTEMPTS = 2
const SHELL = '/bin/sh'
const MAPS = '/proc/self/maps'
const ENVIRONMENT = {
  // One image at a time, and what it took is given back to the system.
  UV_THREADPOOL_SIZE: '1',
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(2 ** 20),
}
const NODE_FLAGS = ['--expose-gc', '--v8-pool-size=0', '--max-old-space-size=64']

/** A process that decodes one image at a time. It is killed where an image takes too long, and replaced at once. */
export class DecoderProcess {
  readonly #options: DecoderProcessOptions
  readonly #worker: Worker<DecoderMethods, null>

  constructor(options: DecoderProcessOptions) {
    this.#options = options
    this.#worker = new Worker<DecoderMethods, null>({
      name: 'decoder',
      entry: childEntry('images/worker/decoder-entry.js'),
      env: ENVIRONMENT,
      launcher: limitedNode(options.memoryBytes),
      disposable: true,
      logger: options.logger,
    })
  }

  /** Resolves when it answers for the first time; rejects where it cannot be started. */
  async started(): Promise<void> {
    await this.#worker.info()
  }

  /** Settles when the process is free again. An image that it dies of is tried once more, in case it was chance. */
  async decode(task: DecodeTask): Promise<DecodedImage> {
    const { pointer, signal } = task
    for (let attempt = 1; ; attempt++) {
      const limit = this.#limit(signal)
      try {
        return await this.#ask(task)
      } catch (error) {
        if (!isCrash(error)) throw error
        signal?.throwIfAborted()
        if (limit.exceeded)
          throw invalidImage(
            pointer,
            `takes longer than ${String(this.#options.timeoutMs)} ms to decode (IMAGE_TIMEOUT_MS); send a smaller image`,
          )
        if (attempt === MAX_ATTEMPTS)
          throw invalidImage(pointer, 'ends the process that decodes it; save it again as JPEG, PNG or WebP')
      } finally {
        limit.lift()
      }
    }
  }

  close(): Promise<void> {
    return this.#worker.close()
  }

  async #ask({ file, pointer, options }: DecodeTask): Promise<DecodedImage> {
    const maxBytes = this.#options.memoryBytes - IDLE_BYTES
    for (let offset = 0; offset < file.length; offset += PART_BYTES)
      await this.#worker.call('receive', file.subarray(offset, offset + PART_BYTES), offset, file.length)
    const { residentBytes, ...image } = await this.#worker.call('decode', pointer, { ...options, maxBytes })
    if (residentBytes > MAX_KEPT_BYTES) this.#worker.replace('memory')
    return image
  }

  /** Kills the process where the image takes too long, or is no longer wanted. */
  #limit(signal: AbortSignal | undefined): { readonly exceeded: boolean; lift: () => void } {
    let exceeded = false
    const timer = setTimeout(() => {
      exceeded = true
      this.#worker.replace('time limit')
    }, this.#options.timeoutMs)
    let abandoned: NodeJS.Timeout | undefined
    const abandon = (): void => {
      abandoned = setTimeout(() => {
        this.#worker.replace('client left')
      }, ABANDONED_MS)
    }
    signal?.addEventListener('abort', abandon)
    return {
      get exceeded() {
        return exceeded
      },
      lift: () => {
        clearTimeout(timer)
        clearTimeout(abandoned)
        signal?.removeEventListener('abort', abandon)
      },
    }
  }
}

/** Node with limits that the kernel enforces: memory, and no core files. Without a shell it starts without limits. */
function limitedNode(memoryBytes: number): { execPath: string; execArgv: string[] } {
  if (!existsSync(SHELL)) return { execPath: process.execPath, execArgv: NODE_FLAGS }
  const limitBytes = memoryBytes + reservedCodeBytes()
  const script = `ulimit -c 0; ulimit -d ${String(Math.floor(limitBytes / 1024))}; exec "$0" "$@"`
  return { execPath: SHELL, execArgv: ['-c', script, process.execPath, ...NODE_FLAGS] }
}

/**
 * Address space that V8 reserves for compiled code. Newer versions map all of it writable and executable, 512 MiB on
 * x86-64, so the kernel counts it as data although few pages of it are ever used. This process and the decoder run the
 * same binary and reserve the same size. 0 without /proc.
 */
function reservedCodeBytes(): number {
  const maps = existsSync(MAPS) ? readFileSync(MAPS, 'latin1') : ''
  return [...maps.matchAll(/^([\da-f]+)-([\da-f]+) rwxp /gm)].reduce(
    (bytes, [, start = '', end = '']) => bytes + parseInt(end, 16) - parseInt(start, 16),
    0,
  )
}
