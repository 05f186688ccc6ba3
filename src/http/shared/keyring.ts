import { timingSafeEqual } from 'node:crypto'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Logger } from 'pino'
import { SettingError, type Config } from '../../config.ts'
import { hashKey, keyForAll, newKey, readKeys, type Key } from './api-keys.ts'

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']
const MAX_FILE_BYTES = 1_048_576
/** How often the file is looked at. What changed is taken when it was the same twice: nobody is writing it any more. */
const LOOK_MS = 1000

type KeyringConfig = Pick<Config, 'HOST' | 'ALLOW_ANONYMOUS' | 'API_KEYS_FILE'>

/**
 * The keys that are asked for, as their file has them now. It is read again and again, by its path: so it does not matter
 * how it is replaced, by a rename, in place or by the links of a volume of Kubernetes. A file that cannot be used changes
 * nothing. Whoever opens it closes it.
 */
export class Keyring {
  /** The key that was made for want of a file, where the service listens wider than loopback. */
  readonly generated: string | undefined
  #keys: readonly Key[] | undefined
  #timer: NodeJS.Timeout | undefined
  /** What was taken or refused last, what was seen last, and what is wrong with it. */
  #judged = ''
  #seen = ''
  #complaint: string | undefined
  readonly #logger: Logger

  private constructor(logger: Logger, generated: string | undefined) {
    this.#logger = logger
    this.generated = generated
    if (generated !== undefined) this.#keys = [keyForAll('generated', generated)]
  }

  /** Throws a sentence that names API_KEYS_FILE, line and field where the file cannot be used. */
  static async open(
    { HOST, ALLOW_ANONYMOUS, API_KEYS_FILE: file }: KeyringConfig,
    logger: Logger,
  ): Promise<Keyring> {
    const asksForOwn = file === undefined && !ALLOW_ANONYMOUS && !LOOPBACK.includes(HOST)
    const ring = new Keyring(logger, asksForOwn ? newKey() : undefined)
    if (file !== undefined) await ring.#watch(file)
    return ring
  }

  /** Whether keys are asked for at all. */
  get asks(): boolean {
    return this.#keys !== undefined
  }

  /** The key that was given, also one that has expired. It is compared with every key there is, each in the same time. */
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
      this.#judged = this.#seen = text
    } catch (error) {
      throw new SettingError(`API_KEYS_FILE=${file}: ${sentence(error)}`, { cause: error })
    }
    let looking = false
    this.#timer = setInterval(() => {
      if (looking) return
      looking = true
      void this.#look(file).finally(() => (looking = false))
    }, LOOK_MS)
    this.#timer.unref()
  }

  async #look(file: string): Promise<void> {
    let text: string
    try {
      text = await readText(file)
    } catch (error) {
      this.#complain(sentence(error))
      return
    }
    const isStill = text === this.#seen
    this.#seen = text
    if (!isStill || text === this.#judged) return
    this.#judged = text
    try {
      this.#keys = readKeys(text)
      this.#complaint = undefined
      this.#logger.info({ keys: this.#keys.map(({ name }) => name) }, 'keys read again')
    } catch (error) {
      this.#complain(sentence(error))
    }
  }

  /** Once for every thing that is wrong: the file is looked at every second. */
  #complain(complaint: string): void {
    if (complaint === this.#complaint) return
    this.#complaint = complaint
    this.#logger.error({ complaint }, 'API_KEYS_FILE cannot be used; the keys read before stay valid')
  }
}

/** A file's text; never more of it than keys could be, whatever the path leads to. */
async function readText(path: string): Promise<string> {
  // Opening a FIFO otherwise waits for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is no file')
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

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
