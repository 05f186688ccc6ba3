/** Far deeper than anything that is read here, and far more fields: records of many are slow to make and to look into. */
const MAX_DEPTH = 64
const MAX_FIELDS = 50_000
const [QUOTE, BACKSLASH, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c]
const [OPEN_LIST, CLOSE_LIST, OPEN_RECORD, CLOSE_RECORD] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Said of JSON that was not looked into at all. */
class TooMuchJson extends SyntaxError {}

/**
 * JSON from outside. Every level is an object of its own, and much of what handles values calls itself for each, so depth
 * is counted first, in the bytes, and so are fields. Throws a SyntaxError.
 */
export function parseJson(json: Buffer): unknown {
  new JsonCount(json).upTo(json.length)
  return parseCounted(json)
}

/** The same, where it was counted before. */
export function parseCounted(json: Buffer): unknown {
  const text = json.toString()
  return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text)
}

/** What is wrong with JSON that `parseJson` did not take, as the end of a sentence. */
export function jsonProblem(error: unknown): string {
  return error instanceof TooMuchJson ? error.message : 'is not JSON'
}

/** About how much there is in JSON. Throws where it is too deep, or fields are too many. */
export class JsonCount {
  /** Up to where it was looked at. */
  at = 0
  /** Commas and openings. */
  values = 0
  #depth = 0
  #fields = 0
  #records = 0
  readonly #json: Buffer

  constructor(json: Buffer) {
    this.#json = json
  }

  /** Looks on, to `end` or to the end of the text that lies there. */
  upTo(end: number): void {
    const json = this.#json
    let { at, values } = this
    for (; at < end && at < json.length; at += 1) {
      const byte = json[at]
      if (byte === QUOTE) {
        at = endOfText(json, at)
      } else if (byte === COMMA) values += 1
      else if (byte === OPEN_LIST || byte === OPEN_RECORD) {
        values += 1
        this.#open(byte)
      } else if (byte === CLOSE_LIST || byte === CLOSE_RECORD) this.#depth -= 1
      else if (byte === COLON && ++this.#fields > MAX_FIELDS)
        throw new TooMuchJson(`has more than ${String(MAX_FIELDS)} fields`)
    }
    Object.assign(this, { at, values })
  }

  #open(byte: number): void {
    if (++this.#depth > MAX_DEPTH) throw new TooMuchJson(`is nested deeper than ${String(MAX_DEPTH)} levels`)
    if (byte === OPEN_RECORD && ++this.#records > MAX_FIELDS)
      throw new TooMuchJson(`has more than ${String(MAX_FIELDS)} objects`)
  }
}

/** Where the quote is that ends a text, or the end where none does. Images in base64 are passed over as fast as memory is read. */
function endOfText(json: Buffer, start: number): number {
  for (let at = json.indexOf(QUOTE, start + 1); at >= 0; at = json.indexOf(QUOTE, at + 1)) {
    let slashes = 0
    while (json[at - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return at
  }
  return json.length
}
