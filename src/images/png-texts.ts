import { inflateSync } from 'node:zlib'
import { UnusableImage } from './decoder-contract.ts'

/** Pillow's limits. */
const MAX_TEXT_BYTES = 2 ** 20
const MAX_ALL_BYTES = 64 * MAX_TEXT_BYTES

/** Limits the inflated size of a PNG's texts: a file with gigabytes of compressed text is rejected. */
export class TextBudget {
  #bytes = 0

  /** Adds the size of a chunk; chunks of other types count 0. */
  add(type: string, data: Buffer): void {
    const text = findCompressedText(type, data)
    this.#bytes +=
      text === undefined ? (type === 'tEXt' || type === 'iTXt' ? data.length : 0) : countInflatedBytes(text)
    if (this.#bytes > MAX_ALL_BYTES) throw tooLong()
  }
}

/** zTXt: keyword, method, text. iTXt: keyword, compression flag, method, language, translated keyword, text. */
function findCompressedText(type: string, data: Buffer): Buffer | undefined {
  const keywordEnd = data.indexOf(0)
  if (keywordEnd < 0) return undefined
  if (type === 'zTXt') return data.subarray(keywordEnd + 2)
  if (type !== 'iTXt' || data[keywordEnd + 1] !== 1) return undefined
  const languageEnd = data.indexOf(0, keywordEnd + 3)
  const translationEnd = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1)
  return translationEnd < 0 ? undefined : data.subarray(translationEnd + 1)
}

/** Text that cannot be inflated counts its compressed size: it affects no pixel. */
function countInflatedBytes(text: Buffer): number {
  try {
    return inflateSync(text, { maxOutputLength: MAX_TEXT_BYTES }).length
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLong()
    return text.length
  }
}

function tooLong(): UnusableImage {
  return new UnusableImage(
    `has texts that inflate to more than ${String(MAX_TEXT_BYTES)} bytes each or ${String(MAX_ALL_BYTES)} in total; save it without texts`,
  )
}
