import { pointerTo, ServiceError, shownName } from './errors.ts'

/**
 * Far above the depth and the number of fields of any valid request. Records with many fields are slow to create and to
 * read.
 */
const MAX_DEPTH = 64
const MAX_FIELDS = 50_000
/** Smaller lists and objects are parsed in one step, which takes some milliseconds. */
export const LARGE_BYTES = 65_536
export const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c]
export const [OPEN_LIST, CLOSE_LIST, OPEN_RECORD, CLOSE_RECORD] = [0x5b, 0x5d, 0x7b, 0x7d]
const BOM = Buffer.from('\uFEFF')

/** The positions of the brackets of a list or an object. */
export interface Brackets {
  readonly start: number
  readonly end: number
}

/** JSON that violates a limit. The message continues a sentence. */
class UnacceptableJson extends SyntaxError {}

/** A duplicate field (RFC 7493, 2.3): parsers differ in which of the two values they use. */
class DuplicateField extends UnacceptableJson {
  readonly pointer: string

  constructor(name: string, pointer: string) {
    super(`has the field ${JSON.stringify(name)} twice, at ${pointer}; send it once`)
    this.pointer = pointer
  }
}

/**
 * Parses untrusted JSON in one step; `readJson` parses large JSON without blocking the event loop. Throws a SyntaxError
 * if the text is not JSON, is nested too deep, or has too many fields or a duplicate field.
 */
export function parseJson(json: Buffer): unknown {
  const text = stripByteOrderMark(json)
  new JsonScan(text).scanTo(text.length)
  return JSON.parse(text.toString())
}

/** Removes the byte order mark that some editors and clients write. */
export function stripByteOrderMark(json: Buffer): Buffer {
  return json.subarray(0, BOM.length).equals(BOM) ? json.subarray(BOM.length) : json
}

/** Describes a parse error. The result continues a sentence. */
export function jsonProblem(error: unknown): string {
  return error instanceof UnacceptableJson ? error.message : 'is not JSON'
}

/** The parse error as MALFORMED_REQUEST. The message starts with `what`. */
export function malformedJson(what: string, error: unknown): ServiceError {
  const detail = jsonProblem(error)
  const errors = error instanceof DuplicateField ? [{ pointer: error.pointer, detail: 'occurs twice' }] : []
  return new ServiceError('MALFORMED_REQUEST', `${what} ${detail}`, { errors })
}

/**
 * Checks the bytes of JSON before they are parsed: depth, number of fields, duplicate fields. Depth must be limited
 * first, because every level creates an object and most code that handles values is recursive. Throws a SyntaxError.
 */
export class JsonScan {
  /** The position of the scan. */
  at = 0
  /** The brackets of lists and objects of at least LARGE_BYTES. Inner ones come before outer ones. */
  readonly large: Brackets[] = []
  readonly #json: Buffer
  #fields = 0
  #records = 0
  #depth = 0
  /** True if the next string is a field name. */
  #expectsName = false
  /** By depth: whether it is an object, its start, the number of its commas, and its names. */
  readonly #isRecord = new Uint8Array(MAX_DEPTH + 1)
  readonly #starts = new Float64Array(MAX_DEPTH + 1)
  readonly #commas = new Float64Array(MAX_DEPTH + 1)
  readonly #names: Set<string>[] = []
  readonly #lastNames: string[] = []

  constructor(json: Buffer) {
    this.#json = json
  }

  /** Continues to `end`, or to the end of the string at that position. */
  scanTo(end: number): void {
    const json = this.#json
    let { at } = this
    for (; at < end && at < json.length; at += 1) {
      const byte = json[at]
      if (byte === QUOTE) {
        const start = at
        at = findStringEnd(json, at)
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
      throw new SyntaxError('a closing bracket has no opening bracket')
    const start = this.#starts[depth] ?? 0
    if (at - start >= LARGE_BYTES) this.large.push({ start, end: at })
    this.#depth -= 1
    this.#expectsName = false
  }

  #name(start: number, end: number): void {
    const depth = this.#depth
    const name = parseName(this.#json, start, end)
    const names = (this.#names[depth] ??= new Set())
    this.#lastNames[depth] = name
    if (names.has(name)) throw new DuplicateField(shownName(name), this.#pointer())
    names.add(name)
  }

  /** A JSON pointer to the field whose name was read last. */
  #pointer(): string {
    let pointer = '#'
    for (let depth = 1; depth <= this.#depth; depth += 1) {
      const step = this.#isRecord[depth] === 1 ? this.#lastNames[depth] : String(this.#commas[depth])
      pointer = pointerTo(pointer, shownName(step ?? ''))
    }
    return pointer
  }
}

/** Parses the name between the quotes at start and end, which may contain escapes. */
function parseName(json: Buffer, start: number, end: number): string {
  const name = json.toString('utf8', start + 1, end)
  return name.includes('\\') ? (JSON.parse(`"${name}"`) as string) : name
}

/** The position of a string's closing quote, or the end of the input. Base64 images are skipped at memory speed. */
export function findStringEnd(json: Buffer, start: number): number {
  for (let at = json.indexOf(QUOTE, start + 1); at >= 0; at = json.indexOf(QUOTE, at + 1)) {
    let slashes = 0
    while (json[at - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return at
  }
  return json.length
}
