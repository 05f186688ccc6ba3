import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  BACKSLASH,
  CLOSE_LIST,
  CLOSE_RECORD,
  COLON,
  COMMA,
  endOfText,
  JsonScan,
  LARGE_BYTES,
  OPEN_LIST,
  OPEN_RECORD,
  parseJson,
  QUOTE,
  withoutMark,
  type Brackets,
} from './json-limits.ts'

/** Parsed at once, within some milliseconds. */
const SMALL_BYTES = 4 * LARGE_BYTES
/** Looked at within some milliseconds; a longer text is made of pieces of this length. */
const PIECE_BYTES = 1_000_000
const TURN_MS = 5
const UNICODE_ESCAPE = 0x75

/**
 * JSON from outside, as `parseJson` takes it. Large JSON is parsed in parts, and others have their turn between them.
 * Rejects with a SyntaxError.
 */
export async function readJson(json: Buffer): Promise<unknown> {
  if (json.length <= SMALL_BYTES) return parseJson(json)
  const text = withoutMark(json)
  const scan = new JsonScan(text)
  while (scan.at < text.length) {
    scan.upTo(scan.at + PIECE_BYTES)
    await nextTurn()
  }
  return new Parts(text, scan.large).whole()
}

/** Parses as many members of a large list or object at a time as are LARGE_BYTES, and what is large within it before. */
class Parts {
  readonly #json: Buffer
  /** In the order in which they begin. */
  readonly #large: readonly Brackets[]
  /** The first of them that was not come to yet. */
  #next = 0
  #turnBegan = performance.now()

  constructor(json: Buffer, large: readonly Brackets[]) {
    this.#json = json
    this.#large = large.toSorted((a, b) => a.start - b.start)
  }

  /** As the one member of a list around it. */
  async whole(): Promise<unknown> {
    const [value, ...more] = (await this.#members({ start: -1, end: this.#json.length })) as unknown[]
    if (more.length > 0) throw new SyntaxError('there is more than one value')
    return value
  }

  async #members({ start, end }: Brackets): Promise<unknown> {
    const json = this.#json
    const members = new Members(json[start] === OPEN_RECORD)
    let depth = 0
    let from = start + 1
    for (let at = from; at < end; at += 1) {
      const byte = json[at]
      if (byte === QUOTE) {
        const closing = endOfText(json, at)
        if (depth === 0 && members.expectsName) members.name = json.toString('utf8', at, closing + 1)
        else if (closing - at > PIECE_BYTES) {
          members.put(json.toString('utf8', from, at), await this.#text(at + 1, closing))
          from = closing + 1
        }
        at = closing
      } else if (byte === OPEN_LIST || byte === OPEN_RECORD) {
        const large = this.#large[this.#next]
        if (large?.start === at) {
          this.#next += 1
          members.put(json.toString('utf8', from, at), await this.#members(large))
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
          await this.#turn()
        }
        members.next()
      }
    }
    members.addLast(json.toString('utf8', from, end))
    await this.#turn()
    return members.value
  }

  /** A long text, without its quotes: no piece of it ends within a character or an escape. */
  async #text(start: number, end: number): Promise<string> {
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
      await this.#turn()
    }
    return text
  }

  async #turn(): Promise<void> {
    if (performance.now() - this.#turnBegan < TURN_MS) return
    await nextTurn()
    this.#turnBegan = performance.now()
  }
}

/** The members of a list or an object, parsed run by run. */
class Members {
  readonly value: unknown[] | Record<string, unknown>
  /** Whether a text that comes next is a field's name. */
  expectsName: boolean
  /** Of the field that was begun last, as it stands in the text. */
  name = ''
  readonly #isRecord: boolean
  /** Of the run that was begun, and which of its members comes next. */
  #text = ''
  #index = 0
  #put: { readonly at: string | number; readonly value: unknown }[] = []
  #hasRuns = false

  constructor(isRecord: boolean) {
    this.#isRecord = isRecord
    this.expectsName = isRecord
    this.value = isRecord ? {} : []
  }

  /** A value that was parsed by itself, and the text before it. */
  put(before: string, value: unknown): void {
    this.#put.push({ at: this.#isRecord ? (JSON.parse(this.name) as string) : this.#index, value })
    this.#text += `${before}null`
  }

  /** A comma. */
  next(): void {
    this.#index += 1
    this.expectsName = this.#isRecord
  }

  /** Ends a run before a comma. */
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
      if (run.length === 0) throw new SyntaxError('a comma has nothing beside it')
      for (const { at, value } of this.#put) run[at as number] = value
      for (const member of run) this.value.push(member)
    } else {
      const run = Object.entries(JSON.parse(`{${text}}`) as object) as [string, unknown][]
      if (run.length === 0) throw new SyntaxError('a comma has nothing beside it')
      const put = new Map(this.#put.map(({ at, value }) => [at, value]))
      for (const [name, member] of run) define(this.value, name, put.has(name) ? put.get(name) : member)
    }
  }
}

/** As `JSON.parse` does: `__proto__` is a field like others. */
function define(record: object, name: string, value: unknown): void {
  Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true })
}

/** Whether a byte of UTF-8 goes on with a character. */
function isContinuation(byte = 0): boolean {
  return (byte & 0xc0) === 0x80
}
