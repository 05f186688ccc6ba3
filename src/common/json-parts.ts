import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import {
  BACKSLASH,
  CLOSE_LIST,
  CLOSE_RECORD,
  COLON,
  COMMA,
  findStringEnd,
  JsonScan,
  LARGE_BYTES,
  OPEN_LIST,
  OPEN_RECORD,
  parseJson,
  QUOTE,
  stripByteOrderMark,
  type Brackets,
} from './json-limits.ts'

/** Parsed in one step, within some milliseconds. */
const SMALL_BYTES = 4 * LARGE_BYTES
/** The length of a scan step, which takes some milliseconds, and of the pieces of a long string. */
const PIECE_BYTES = 1_000_000
const STEP_MS = 5
const UNICODE_ESCAPE = 0x75

/**
 * Parses untrusted JSON with the checks of `parseJson`. Large JSON is parsed in parts and yields to the event loop between
 * them. Rejects with a SyntaxError.
 */
export async function readJson(json: Buffer): Promise<unknown> {
  if (json.length <= SMALL_BYTES) return parseJson(json)
  const text = stripByteOrderMark(json)
  const scan = new JsonScan(text)
  while (scan.at < text.length) {
    scan.scanTo(scan.at + PIECE_BYTES)
    await yieldToEventLoop()
  }
  return new PartParser(text, scan.large).parse()
}

/** Parses large lists and objects in runs of members of LARGE_BYTES. Large values inside are parsed first. */
class PartParser {
  readonly #json: Buffer
  /** In order of their start. */
  readonly #large: readonly Brackets[]
  /** The index of the next large value. */
  #next = 0
  #stepStartedAt = performance.now()

  constructor(json: Buffer, large: readonly Brackets[]) {
    this.#json = json
    this.#large = large.toSorted((a, b) => a.start - b.start)
  }

  /** Parses the text as the only member of a virtual list. */
  async parse(): Promise<unknown> {
    const [value, ...more] = (await this.#parseMembers({ start: -1, end: this.#json.length })) as unknown[]
    if (more.length > 0) throw new SyntaxError('there is more than one value')
    return value
  }

  async #parseMembers({ start, end }: Brackets): Promise<unknown> {
    const json = this.#json
    const members = new Members(json[start] === OPEN_RECORD)
    let depth = 0
    let from = start + 1
    for (let at = from; at < end; at += 1) {
      const byte = json[at]
      if (byte === QUOTE) {
        const closing = findStringEnd(json, at)
        if (depth === 0 && members.expectsName) members.name = json.toString('utf8', at, closing + 1)
        else if (closing - at > PIECE_BYTES) {
          members.put(json.toString('utf8', from, at), await this.#parseString(at + 1, closing))
          from = closing + 1
        }
        at = closing
      } else if (byte === OPEN_LIST || byte === OPEN_RECORD) {
        const large = this.#large[this.#next]
        if (large?.start === at) {
          this.#next += 1
          members.put(json.toString('utf8', from, at), await this.#parseMembers(large))
          from = large.end + 1
          at = large.end
        } else depth += 1
      } else if (byte === CLOSE_LIST || byte === CLOSE_RECORD) depth -= 1
      else if (byte === COLON && depth === 0) members.expectsName = false
      else if (byte === COMMA && depth === 0) {
        const isRun = at - from >= LARGE_BYTES
        if (isRun) {
          members.add(json.toString('utf8', from, at))
          from = at + 1
          await this.#yieldIfDue()
        }
        members.next()
      }
    }
    members.addLast(json.toString('utf8', from, end))
    await this.#yieldIfDue()
    return members.value
  }

  /** Parses a long string without its quotes, in pieces that end outside of characters and escapes. */
  async #parseString(start: number, end: number): Promise<string> {
    const json = this.#json
    let text = ''
    let escape = json.indexOf(BACKSLASH, start)
    for (let from = start; from < end;) {
      let to = Math.min(from + PIECE_BYTES, end)
      while (escape >= 0 && escape < to) {
        const next = escape + (json[escape + 1] === UNICODE_ESCAPE ? 6 : 2)
        to = Math.max(to, Math.min(next, end))
        escape = json.indexOf(BACKSLASH, next)
      }
      while (to < end && isContinuation(json[to])) to += 1
      text += JSON.parse(`"${json.toString('utf8', from, to)}"`) as string
      from = to
      await this.#yieldIfDue()
    }
    return text
  }

  async #yieldIfDue(): Promise<void> {
    if (performance.now() - this.#stepStartedAt < STEP_MS) return
    await yieldToEventLoop()
    this.#stepStartedAt = performance.now()
  }
}

/** The members of a list or an object, parsed run by run. */
class Members {
  readonly value: unknown[] | Record<string, unknown>
  /** True if the next string is a field name. */
  expectsName: boolean
  /** The name of the current field, as JSON text. */
  name = ''
  readonly #isRecord: boolean
  /** The text of the current run, and the index of its next member. */
  #text = ''
  #index = 0
  #put: { readonly at: string | number; readonly value: unknown }[] = []
  #hasRuns = false

  constructor(isRecord: boolean) {
    this.#isRecord = isRecord
    this.expectsName = isRecord
    this.value = isRecord ? {} : []
  }

  /** Adds a value that was parsed separately, and the text before it. */
  put(before: string, value: unknown): void {
    this.#put.push({ at: this.#isRecord ? (JSON.parse(this.name) as string) : this.#index, value })
    this.#text += `${before}null`
  }

  /** Begins the next member, after a comma. */
  next(): void {
    this.#index += 1
    this.expectsName = this.#isRecord
  }

  /** Ends a run at a comma. */
  add(text: string): void {
    this.#parse(this.#text + text)
    this.#text = ''
    this.#index = -1
    this.#put = []
    this.#hasRuns = true
  }

  addLast(text: string): void {
    const last = this.#text + text
    if (this.#hasRuns || last.trim() !== '') this.#parse(last)
  }

  #parse(text: string): void {
    if (Array.isArray(this.value)) {
      const run = JSON.parse(`[${text}]`) as unknown[]
      if (run.length === 0) throw new SyntaxError('a comma without a value')
      for (const { at, value } of this.#put) run[at as number] = value
      for (const member of run) this.value.push(member)
    } else {
      const run = Object.entries(JSON.parse(`{${text}}`) as object) as [string, unknown][]
      if (run.length === 0) throw new SyntaxError('a comma without a value')
      const put = new Map(this.#put.map(({ at, value }) => [at, value]))
      for (const [name, member] of run) define(this.value, name, put.has(name) ? put.get(name) : member)
    }
  }
}

/** Defines a field like `JSON.parse`: `__proto__` is an ordinary field. */
function define(record: object, name: string, value: unknown): void {
  Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true })
}

/** True for a continuation byte of UTF-8. */
function isContinuation(byte = 0): boolean {
  return (byte & 0xc0) === 0x80
}
