import { pointerTo, ServiceError, shownName } from './errors.ts'

/** Far deeper than anything that is read here, and far more fields: records of many are slow to make and to look into. */
const MAX_DEPTH = 64
const MAX_FIELDS = 50_000
/** A list or an object of fewer bytes is parsed at once: some milliseconds. */
export const LARGE_BYTES = 65_536
export const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c]
export const [OPEN_LIST, CLOSE_LIST, OPEN_RECORD, CLOSE_RECORD] = [0x5b, 0x5d, 0x7b, 0x7d]
const BOM = Buffer.from('\uFEFF')

/** Where a list or an object begins and ends. */
export interface Brackets {
  readonly start: number
  readonly end: number
}

/** Says more of JSON than that it is none. Its message is the end of a sentence. */
class UnacceptableJson extends SyntaxError {}

/** A field that an object has twice (RFC 7493, 2.3): readers differ in which of the two they take. */
class DuplicateField extends UnacceptableJson {
  readonly pointer: string

  constructor(name: string, pointer: string) {
    super(`has the field ${JSON.stringify(name)} twice, at ${pointer}; send it once`)
    this.pointer = pointer
  }
}

/**
 * JSON from outside, at once: of large JSON `readJson` lets others have their turn. Throws a SyntaxError where it is no
 * JSON, too deep, of too many fields, or has a field twice.
 */
export function parseJson(json: Buffer): unknown {
  const text = withoutMark(json)
  new JsonScan(text).upTo(text.length)
  return JSON.parse(text.toString())
}

/** JSON without the byte order mark that some editors and clients put before it. */
export function withoutMark(json: Buffer): Buffer {
  return json.subarray(0, BOM.length).equals(BOM) ? json.subarray(BOM.length) : json
}

/** What is wrong with JSON that was not taken, as the end of a sentence. */
export function jsonProblem(error: unknown): string {
  return error instanceof UnacceptableJson ? error.message : 'is not JSON'
}

/** The same as the error of a request; `what` begins its sentence. */
export function malformedJson(what: string, error: unknown): ServiceError {
  const detail = jsonProblem(error)
  const errors = error instanceof DuplicateField ? [{ pointer: error.pointer, detail: 'is given twice' }] : []
  return new ServiceError('MALFORMED_REQUEST', `${what} ${detail}`, { errors })
}

/**
 * Looks into the bytes of JSON before they are parsed. Every level is an object of its own, and much of what handles
 * values calls itself for each, so depth is counted first, and so are fields; a field that is there twice is found. Throws
 * a SyntaxError.
 */
export class JsonScan {
  /** Up to where it was looked at. */
  at = 0
  /** Where the lists and objects of at least LARGE_BYTES have their brackets. An inner one comes before its outer one. */
  readonly large: Brackets[] = []
  readonly #json: Buffer
  #fields = 0
  #records = 0
  #depth = 0
  /** Whether a text that comes next is the name of a field. */
  #expectsName = false
  /** By depth: whether it is an object, where it began, how many commas it has had, and its names. */
  readonly #isRecord = new Uint8Array(MAX_DEPTH + 1)
  readonly #starts = new Float64Array(MAX_DEPTH + 1)
  readonly #commas = new Float64Array(MAX_DEPTH + 1)
  readonly #names: Set<string>[] = []
  readonly #lastNames: string[] = []

  constructor(json: Buffer) {
    this.#json = json
  }

  /** Looks on, to `end` or to the end of the text that lies there. */
  upTo(end: number): void {
    const json = this.#json
    let { at } = this
    for (; at < end && at < json.length; at += 1) {
      const byte = json[at]
      if (byte === QUOTE) {
        const start = at
        at = endOfText(json, at)
        if (this.#expectsName) this.#name(start, at)
      } else if (byte === COMMA) {
        const depth = this.#depth
        if (this.#isRecord[depth] === 1) this.#expectsName = true
        else this.#commas[depth] = (this.#commas[depth] ?? 0) + 1
      } else if (byte === OPEN_LIST || byte === OPEN_RECORD) this.#open(at, byte === OPEN_RECORD)
      else if (byte === CLOSE_LIST || byte === CLOSE_RECORD) this.#close(at, byte === CLOSE_RECORD)
      else if (byte === COLON) {
        this.#expectsName = false
        if (++this.#fields > MAX_FIELDS)
          throw new UnacceptableJson(`has more than ${String(MAX_FIELDS)} fields`)
      }
    }
    this.at = at
    if (at >= json.length && this.#depth > 0) throw new SyntaxError('a bracket is not closed')
  }

  #open(at: number, isRecord: boolean): void {
    const depth = ++this.#depth
    if (depth > MAX_DEPTH) throw new UnacceptableJson(`is nested deeper than ${String(MAX_DEPTH)} levels`)
    this.#isRecord[depth] = isRecord ? 1 : 0
    this.#starts[depth] = at
    this.#commas[depth] = 0
    this.#expectsName = isRecord
    if (!isRecord) return
    if (++this.#records > MAX_FIELDS)
      throw new UnacceptableJson(`has more than ${String(MAX_FIELDS)} objects`)
    this.#names[depth]?.clear()
  }

  #close(at: number, isRecord: boolean): void {
    const depth = this.#depth
    if (depth === 0 || (this.#isRecord[depth] === 1) !== isRecord)
      throw new SyntaxError('a bracket closes what is not open')
    const start = this.#starts[depth] ?? 0
    if (at - start >= LARGE_BYTES) this.large.push({ start, end: at })
    this.#depth -= 1
    this.#expectsName = false
  }

  #name(start: number, end: number): void {
    const depth = this.#depth
    const name = nameAt(this.#json, start, end)
    const names = (this.#names[depth] ??= new Set())
    this.#lastNames[depth] = name
    if (names.has(name)) throw new DuplicateField(shownName(name), this.#pointer())
    names.add(name)
  }

  /** To the field whose name was read last. */
  #pointer(): string {
    let pointer = '#'
    for (let depth = 1; depth <= this.#depth; depth += 1) {
      const step = this.#isRecord[depth] === 1 ? this.#lastNames[depth] : String(this.#commas[depth])
      pointer = pointerTo(pointer, shownName(step ?? ''))
    }
    return pointer
  }
}

/** The name whose quotes are at start and end, as it is parsed: an escape may spell any letter. */
function nameAt(json: Buffer, start: number, end: number): string {
  const name = json.toString('utf8', start + 1, end)
  return name.includes('\\') ? (JSON.parse(`"${name}"`) as string) : name
}

/** Where the quote is that ends a text, or the end where none does. Images in base64 are passed over as fast as memory is read. */
export function endOfText(json: Buffer, start: number): number {
  for (let at = json.indexOf(QUOTE, start + 1); at >= 0; at = json.indexOf(QUOTE, at + 1)) {
    let slashes = 0
    while (json[at - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return at
  }
  return json.length
}
