/** Far deeper than anything that is read here, and far more fields: records of many are slow to make and to look into. */
const MAX_DEPTH = 64
const MAX_FIELDS = 50_000
const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a]
const [OPEN_LIST, CLOSE_LIST, OPEN_RECORD, CLOSE_RECORD] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Said of JSON that was not looked into at all. */
class TooMuchJson extends SyntaxError {}

/**
 * JSON from outside. Every level is an object of its own, and much of what handles values calls itself for each, so depth
 * is counted first, in the bytes, and so are fields. Throws a SyntaxError.
 */
export function parseJson(json: Buffer): unknown {
  const excess = excessOf(json)
  if (excess !== undefined) throw new TooMuchJson(excess)
  const text = json.toString()
  return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text)
}

/** What is wrong with JSON that `parseJson` did not take, as the end of a sentence. */
export function jsonProblem(error: unknown): string {
  return error instanceof TooMuchJson ? error.message : 'is not JSON'
}

function excessOf(json: Buffer): string | undefined {
  let [depth, fields] = [0, 0]
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at]
    if (byte === QUOTE) {
      at = endOfText(json, at)
      if (at < 0) return undefined
    } else if (byte === OPEN_LIST || byte === OPEN_RECORD) {
      depth += 1
      if (depth > MAX_DEPTH) return `is nested deeper than ${String(MAX_DEPTH)} levels`
    } else if (byte === CLOSE_LIST || byte === CLOSE_RECORD) depth -= 1
    else if (byte === COLON) {
      fields += 1
      if (fields > MAX_FIELDS) return `has more than ${String(MAX_FIELDS)} fields`
    }
  }
  return undefined
}

/** Where the quote is that ends a text; -1 where none does. Images in base64 are passed over as fast as memory is read. */
function endOfText(json: Buffer, start: number): number {
  for (let at = json.indexOf(QUOTE, start + 1); at >= 0; at = json.indexOf(QUOTE, at + 1)) {
    let slashes = 0
    while (json[at - 1 - slashes] === BACKSLASH) slashes += 1
    if (slashes % 2 === 0) return at
  }
  return -1
}
