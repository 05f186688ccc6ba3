import { raceAbort } from '../../common/cancellation.ts'
import { createShutdownError } from '../../common/errors.ts'
import { isLarge } from '../decode-cost.ts'
import { DecoderProcess, type DecoderProcessOptions, type DecodeTask } from './decoder-process.ts'
import { detectFormat, findResize, invalidImage, type DecodedImage } from '../decoder-contract.ts'

export interface ImageDecoderOptions extends DecoderProcessOptions {
  /** The maximum number of images decoded at the same time, at least two. */
  readonly processes: number
}

/** One process in this many may decode a large image. */
const LARGE_SHARE = 4
/** A process without an image for this time is stopped, except the first one. */
const IDLE_MS = 10_000

interface QueuedImage {
  readonly task: DecodeTask
  readonly large: boolean
  readonly resolve: (image: DecodedImage) => void
  readonly reject: (error: unknown) => void
}

interface Member {
  readonly process: DecoderProcess
  /** The image that it decodes. */
  current: QueuedImage | undefined
  idleTimer: NodeJS.Timeout | undefined
}

/**
 * Decodes images in separate processes, which are started on demand. Images start in order of arrival, except that large
 * ones wait while their maximum number is being decoded: one process is always left for small images. The caller closes it.
 */
export class ImageDecoder {
  readonly #options: ImageDecoderOptions
  readonly #waiting: QueuedImage[] = []
  readonly #first: Member
  readonly #members: Member[]
  /** The process that is starting. */
  #starting: DecoderProcess | undefined
  #closing = false

  constructor(options: ImageDecoderOptions) {
    this.#options = options
    this.#first = { process: new DecoderProcess(options), current: undefined, idleTimer: undefined }
    this.#members = [this.#first]
  }

  /** Resolves when the first process is ready; rejects if it cannot be started. */
  started(): Promise<void> {
    return this.#first.process.started()
  }

  get processes(): number {
    return Math.max(2, this.#options.processes)
  }

  /** Rejects with INVALID_IMAGE at the task's pointer if the image is unusable, and with the signal's reason on abort. */
  async decode(task: DecodeTask): Promise<DecodedImage> {
    const { file, pointer, options, signal } = task
    signal?.throwIfAborted()
    if (this.#closing) throw createShutdownError()
    const channels = options.shape.at(-1)
    if (channels !== 1 && channels !== 3)
      throw invalidImage(pointer, `cannot be decoded to ${String(channels)} channels; send application/x-npy`)
    if (file.length === 0) throw invalidImage(pointer, 'is empty; send a JPEG, PNG or WebP image')
    const format = detectFormat(file)
    if (format === undefined) throw invalidImage(pointer, 'is not a JPEG, PNG or WebP image; send one')
    const buffer = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
    const large = isLarge(buffer, format, findResize(options) !== null)
    const image = new Promise<DecodedImage>((resolve, reject) => {
      this.#waiting.push({ task, large, resolve, reject })
    })
    this.#dispatch()
    return raceAbort(image, signal)
  }

  async close(): Promise<void> {
    this.#closing = true
    for (const { reject } of this.#waiting.splice(0)) reject(createShutdownError())
    for (const { idleTimer } of this.#members) clearTimeout(idleTimer)
    await Promise.all([this.#starting?.close(), ...this.#members.map(({ process }) => process.close())])
  }

  #dispatch(): void {
    for (;;) {
      const next = this.#findNext()
      if (next === undefined) return
      const member = this.#members.find(({ current }) => current === undefined)
      if (member === undefined) {
        this.#startProcess()
        return
      }
      this.#waiting.splice(this.#waiting.indexOf(next), 1)
      void this.#run(member, next)
    }
  }

  /** The oldest image that may start now. Removes aborted images. */
  #findNext(): QueuedImage | undefined {
    const remaining = this.#waiting.filter(({ task }) => task.signal?.aborted !== true)
    this.#waiting.splice(0, Infinity, ...remaining)
    const largeCount = this.#members.filter(({ current }) => current?.large === true).length
    const maxLarge = Math.max(1, Math.floor(this.processes / LARGE_SHARE))
    return this.#waiting.find(({ large }) => !large || largeCount < maxLarge)
  }

  async #run(member: Member, waiting: QueuedImage): Promise<void> {
    clearTimeout(member.idleTimer)
    member.current = waiting
    await member.process.decode(waiting.task).then(waiting.resolve, waiting.reject)
    member.current = undefined
    this.#release(member)
  }

  /** Gives a process its next image, or stops it after a time without one. */
  #release(member: Member): void {
    if (this.#closing) return
    if (member !== this.#first) {
      member.idleTimer = setTimeout(() => {
        this.#members.splice(this.#members.indexOf(member), 1)
        void member.process.close()
      }, IDLE_MS)
    }
    this.#dispatch()
  }

  /** Starts one process at a time. The next free process takes the waiting image. */
  #startProcess(): void {
    if (this.#starting !== undefined || this.#members.length >= this.processes) return
    const process = new DecoderProcess(this.#options)
    this.#starting = process
    process.started().then(
      () => {
        this.#starting = undefined
        const member = { process, current: undefined, idleTimer: undefined }
        this.#members.push(member)
        this.#release(member)
      },
      () => {
        this.#starting = undefined
        void process.close()
      },
    )
  }
}
