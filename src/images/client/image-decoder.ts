import { raceAbort } from '../../common/cancellation.ts'
import { ServiceError } from '../../common/errors.ts'
import { isLarge } from '../decode-cost.ts'
import { DecoderProcess, type DecoderProcessOptions, type DecodeTask } from './decoder-process.ts'
import { detectFormat, invalidImage, type DecodedImage } from '../decoder-contract.ts'

export interface ImageDecoderOptions extends DecoderProcessOptions {
  /** How many images are decoded at the same time, at most; two at the least. */
  readonly processes: number
}

/** Of the decoders, one in so many may have a large image. */
const LARGE_SHARE = 4
/** A decoder that nothing was asked of for so long is stopped, but for the first. */
const IDLE_MS = 10_000

interface Waiting {
  readonly task: DecodeTask
  readonly large: boolean
  readonly resolve: (image: DecodedImage) => void
  readonly reject: (error: unknown) => void
}

interface Member {
  readonly process: DecoderProcess
  /** What it decodes. */
  current: Waiting | undefined
  idleTimer: NodeJS.Timeout | undefined
}

/**
 * Decodes images in processes of their own, which are started as they are needed. Images are begun in the order they come,
 * except that large ones wait while as many are decoded as may be: one decoder is always left to small ones. Whoever opens
 * it closes it.
 */
export class ImageDecoder {
  readonly #options: ImageDecoderOptions
  readonly #waiting: Waiting[] = []
  readonly #first: Member
  readonly #members: Member[]
  /** A process that is on its way. */
  #starting: DecoderProcess | undefined
  #closing = false

  constructor(options: ImageDecoderOptions) {
    this.#options = options
    this.#first = { process: new DecoderProcess(options), current: undefined, idleTimer: undefined }
    this.#members = [this.#first]
  }

  /** Resolves when the first process answers; rejects where it cannot be started. */
  started(): Promise<void> {
    return this.#first.process.started()
  }

  get processes(): number {
    return Math.max(2, this.#options.processes)
  }

  /** INVALID_IMAGE at the task's pointer where the image cannot be used; its signal's reason where that aborts. */
  async decode(task: DecodeTask): Promise<DecodedImage> {
    const { file, pointer, options, signal } = task
    signal?.throwIfAborted()
    if (this.#closing) throw shuttingDown()
    const channels = options.shape.at(-1)
    if (channels !== 1 && channels !== 3)
      throw invalidImage(pointer, `cannot become ${String(channels)} channels; send application/x-npy`)
    if (file.length === 0) throw invalidImage(pointer, 'is empty; send a JPEG, PNG or WebP image')
    const format = detectFormat(file)
    if (format === undefined) throw invalidImage(pointer, 'is not a JPEG, PNG or WebP image; send one')
    const large = isLarge(Buffer.from(file.buffer, file.byteOffset, file.byteLength), format)
    const image = new Promise<DecodedImage>((resolve, reject) => {
      this.#waiting.push({ task, large, resolve, reject })
    })
    this.#dispatch()
    return raceAbort(image, signal)
  }

  async close(): Promise<void> {
    this.#closing = true
    for (const { reject } of this.#waiting.splice(0)) reject(shuttingDown())
    for (const { idleTimer } of this.#members) clearTimeout(idleTimer)
    await Promise.all([this.#starting?.close(), ...this.#members.map(({ process }) => process.close())])
  }

  #dispatch(): void {
    for (;;) {
      const next = this.#next()
      if (next === undefined) return
      const member = this.#members.find(({ current }) => current === undefined)
      if (member === undefined) {
        this.#grow()
        return
      }
      this.#waiting.splice(this.#waiting.indexOf(next), 1)
      void this.#run(member, next)
    }
  }

  /** The oldest that may begin now; those that are no longer wanted are forgotten. */
  #next(): Waiting | undefined {
    const left = this.#waiting.filter(({ task }) => task.signal?.aborted !== true)
    this.#waiting.splice(0, Infinity, ...left)
    const larges = this.#members.filter(({ current }) => current?.large === true).length
    const mostLarge = Math.max(1, Math.floor(this.processes / LARGE_SHARE))
    return this.#waiting.find(({ large }) => !large || larges < mostLarge)
  }

  async #run(member: Member, waiting: Waiting): Promise<void> {
    clearTimeout(member.idleTimer)
    member.current = waiting
    await member.process.decode(waiting.task).then(waiting.resolve, waiting.reject)
    member.current = undefined
    this.#rest(member)
  }

  /** It waits for an image, and is stopped where none comes. */
  #rest(member: Member): void {
    if (this.#closing) return
    if (member !== this.#first) {
      member.idleTimer = setTimeout(() => {
        this.#members.splice(this.#members.indexOf(member), 1)
        void member.process.close()
      }, IDLE_MS)
    }
    this.#dispatch()
  }

  /** One at a time: what waits is begun by whichever process is free first. */
  #grow(): void {
    if (this.#starting !== undefined || this.#members.length >= this.processes) return
    const process = new DecoderProcess(this.#options)
    this.#starting = process
    process.started().then(
      () => {
        this.#starting = undefined
        const member = { process, current: undefined, idleTimer: undefined }
        this.#members.push(member)
        this.#rest(member)
      },
      () => {
        this.#starting = undefined
        void process.close()
      },
    )
  }
}

function shuttingDown(): ServiceError {
  return new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
}
