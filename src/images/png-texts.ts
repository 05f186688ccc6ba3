import { inflateSync } from 'node:zlib'
import { UnusableImage } from './decoder-contract.ts'

/** Pillow's limits. */
const MAX_TEXT_BYTES = 2 ** 20
const MAX_ALL_BYTES = 64 * MAX_TEXT_BYTES

/** Adds up what the texts of a PNG amount to. They are read for this alone: a file that hides gigabytes in them is refused. */
export class TextBudget {
  #bytes = 0

  /** Takes any chunk; what is no text is nothing. */
  add(type: string, data: Buffer): void {
    const text = compressedText(type, data)
    this.#bytes +=
      text === undefined ? (type === 'tEXt' || type === 'iTXt' ? data.length : 0) : inflatedBytes(text)
    if (this.#bytes > MAX_ALL_BYTES) throw tooLong()
  }
}

/** Behind the keyword its method; in iTXt a flag before that, and the language and the keyword once more behind it. */
function compressedText(type: string, data: Buffer): Buffer | undefined {
  const keywordEnd = data.indexOf(0)
  if (keywordEnd < 0) return undefined
  if (type === 'zTXt') return data.subarray(keywordEnd + 2)
  if (type !== 'iTXt' || data[keywordEnd + 1] !== 1) return undefined
  const languageEnd = data.indexOf(0, keywordEnd + 3)
  const translationEnd = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1)
  return translationEnd < 0 ? undefined : data.subarray(translationEnd + 1)
}

/** What cannot be inflated is no text, and harms no pixel. */
function inflatedBytes(text: Buffer): number {
  try {
    return inflateSync(text, { maxOutputLength: MAX_TEXT_BYTES }).length
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLong()
    return text.length
  }
}

function tooLong(): UnusableImage {
  return new UnusableImage(
    `has texts that inflate to more than ${String(MAX_TEXT_BYTES)} bytes each or ${String(MAX_ALL_BYTES)} in all; save it without texts`,
  )
}
