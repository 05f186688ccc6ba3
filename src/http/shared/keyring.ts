import { timingSafeEqual } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Logger } from 'pino'
import { SettingError, type Config } from '../../config.ts'
import { hashKey, createFullKey, generateKey, readKeys, type Key } from './api-keys.ts'

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']
const MAX_FILE_BYTES = 1_048_576
/** The poll interval of the file. A change is read once two polls agree, when the writer is done. */
const POLL_MS = 1000

type KeyringConfig = Pick<Config, 'HOST' | 'ALLOW_ANONYMOUS' | 'API_KEYS_FILE'>

/**
 * The keys of API_KEYS_FILE. The file is polled by its path, so that it may be replaced by a rename, in place or by the
 * links of a Kubernetes volume. An invalid file changes nothing.
 */
export class Keyring {
  /** The key generated for a service without a file that listens beyond loopback. */
  readonly generated: string | undefined
  #keys: readonly Key[] | undefined
  #timer: NodeJS.Timeout | undefined
  /** The last text that was parsed. */
  #parsed = ''
  /** The last text that was read. */
  #seen = ''
  /** The last problem that was logged. */
  #problem: string | undefined
  readonly #logger: Logger

  private constructor(logger: Logger, generated: string | undefined) {
    this.#logger = logger
    this.generated = generated
    if (generated !== undefined) this.#keys = [createFullKey('generated', generated)]
  }

  /** Rejects with an error that names API_KEYS_FILE, line and field if the file is invalid. */
  static async open(
    { HOST, ALLOW_ANONYMOUS, API_KEYS_FILE: file }: KeyringConfig,
    logger: Logger,
  ): Promise<Keyring> {
    const needsGenerated = file === undefined && !ALLOW_ANONYMOUS && !LOOPBACK.includes(HOST)
    const ring = new Keyring(logger, needsGenerated ? generateKey() : undefined)
    if (file !== undefined) await ring.#watch(file)
    return ring
  }

  /** Whether requests need a key. */
  get requiresKey(): boolean {
    return this.#keys !== undefined
  }

  /** Finds a key, expired ones included. It is compared with every key, each in constant time. */
  find(given: string): Key | undefined {
    const digest = hashKey(given)
    let found: Key | undefined
    for (const key of this.#keys ?? []) if (timingSafeEqual(key.sha256, digest)) found = key
    return found
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #watch(file: string): Promise<void> {
    try {
      const text = await readText(file)
      this.#keys = readKeys(text)
      this.#parsed = this.#seen = text
    } catch (error) {
      throw new SettingError(`API_KEYS_FILE=${file}: ${errorMessage(error)}`, { cause: error })
    }
    let polling = false
    this.#timer = setInterval(() => {
      if (polling) return
      polling = true
      void this.#poll(file).finally(() => (polling = false))
    }, POLL_MS)
    this.#timer.unref()
  }

  async #poll(file: string): Promise<void> {
    let text: string
    try {
      text = await readText(file)
    } catch (error) {
      this.#report(errorMessage(error))
      return
    }
    const isStable = text === this.#seen
    this.#seen = text
    if (!isStable || text === this.#parsed) return
    this.#parsed = text
    try {
      this.#keys = readKeys(text)
      this.#problem = undefined
      this.#logger.info({ keys: this.#keys.map(({ name }) => name) }, 'API_KEYS_FILE read again')
    } catch (error) {
      this.#report(errorMessage(error))
    }
  }

  /** Logs every problem once, although the file is read every second. */
  #report(problem: string): void {
    if (problem === this.#problem) return
    this.#problem = problem
    this.#logger.error({ problem }, 'API_KEYS_FILE is invalid; the previous keys stay valid')
  }
}

/** Reads the text of a regular file of at most MAX_FILE_BYTES. */
async function readText(path: string): Promise<string> {
  // Without O_NONBLOCK, opening a FIFO waits for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is not a file')
    const bytes = Buffer.alloc(MAX_FILE_BYTES + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length)
      length += bytesRead
      if (length > MAX_FILE_BYTES) throw new Error(`it is larger than ${String(MAX_FILE_BYTES)} bytes`)
      if (bytesRead === 0) return bytes.toString('utf8', 0, length)
    }
  } finally {
    await file.close()
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
