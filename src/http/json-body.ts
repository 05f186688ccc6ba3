import { JSONParser } from '@streamparser/json'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { JsonCount, parseCounted } from '../json.ts'

/** More than an image of 224x224 pixels has, and than are parsed within some 20 ms. */
const MANY_VALUES = 300_000
const PIECE_BYTES = 65_536
/** Looked at within some 5 ms. */
const COUNTED_BYTES = 1_000_000

/**
 * JSON from outside, as `parseJson` takes it. Of many values, whoever else waits has a turn between pieces; these take
 * several times as long. Rejects with a SyntaxError.
 */
export async function readJson(json: Buffer): Promise<unknown> {
  const count = new JsonCount(json)
  while (count.at < json.length) {
    if (count.at > 0) await nextTurn()
    count.upTo(count.at + COUNTED_BYTES)
  }
  return count.values > MANY_VALUES ? parseInPieces(json) : parseCounted(json)
}

async function parseInPieces(json: Buffer): Promise<unknown> {
  const parser = new JSONParser({ paths: ['$'], keepStack: false })
  let whole: { readonly value: unknown } | undefined
  parser.onValue = ({ value }) => {
    whole = { value }
  }
  // Its own errors are of no class in particular.
  parser.onError = ({ message }) => {
    throw new SyntaxError(message)
  }
  for (let at = 0; at < json.length; at += PIECE_BYTES) {
    parser.write(json.subarray(at, at + PIECE_BYTES))
    await nextTurn()
  }
  if (whole === undefined) throw new SyntaxError('Unexpected end of JSON input')
  return whole.value
}
