/** A value of the Python literal in an npy header. */
export type Literal = string | number | boolean | null | readonly Literal[] | ReadonlyMap<string, Literal>

/** numpy's own headers have three levels; a structured dtype adds one for each structure within it. */
const MAX_DEPTH = 16
const TOKEN =
  /\s*(?:(?<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<number>-?\d+)L?|(?<word>True|False|None)|(?<mark>[()[\]{},:]))/suy
const WORDS: Readonly<Record<string, boolean | null>> = { True: true, False: false, None: null }
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']' }

/**
 * The dictionary of an npy header: a Python literal, of which numpy writes texts, whole numbers, True, False, None, tuples,
 * lists and one dictionary. undefined where the text is anything else.
 */
export function parseHeader(text: string): ReadonlyMap<string, Literal> | undefined {
  try {
    const reader = new LiteralReader(text)
    const value = reader.value(MAX_DEPTH)
    return value instanceof Map && reader.isDone ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

class LiteralReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isDone(): boolean {
    return this.#text.slice(this.#at).trim() === ''
  }

  value(depth: number): Literal {
    if (depth === 0) throw new SyntaxError('the literal is too deep')
    const { text, number, word, mark } = this.#next()
    if (text !== undefined) return text.slice(1, -1)
    if (number !== undefined) return Number(number)
    if (word !== undefined) return WORDS[word] ?? null
    if (mark === '{') return this.#dictionary(depth)
    const closing = CLOSING[mark ?? '']
    if (closing === undefined) throw new SyntaxError('no value begins so')
    return this.#sequence(closing, depth)
  }

  #sequence(closing: string, depth: number): Literal {
    const values: Literal[] = []
    while (!this.#takes(closing)) {
      values.push(this.value(depth - 1))
      const isOnlyOne = values.length === 1 && closing === ')'
      if (this.#takes(',')) continue
      this.#expect(closing)
      // Parentheses around one value, without a comma, make no tuple.
      return isOnlyOne ? (values[0] ?? null) : values
    }
    return values
  }

  #dictionary(depth: number): ReadonlyMap<string, Literal> {
    const values = new Map<string, Literal>()
    while (!this.#takes('}')) {
      const name = this.value(1)
      this.#expect(':')
      if (typeof name !== 'string' || values.has(name))
        throw new SyntaxError('the key is no text, or repeated')
      values.set(name, this.value(depth - 1))
      if (this.#takes(',')) continue
      this.#expect('}')
      return values
    }
    return values
  }

  #next(): Readonly<Record<string, string | undefined>> {
    TOKEN.lastIndex = this.#at
    const groups = TOKEN.exec(this.#text)?.groups
    if (groups === undefined) throw new SyntaxError('the text is no literal')
    this.#at = TOKEN.lastIndex
    return groups
  }

  #takes(mark: string): boolean {
    TOKEN.lastIndex = this.#at
    if (TOKEN.exec(this.#text)?.groups?.['mark'] !== mark) return false
    this.#at = TOKEN.lastIndex
    return true
  }

  #expect(mark: string): void {
    if (!this.#takes(mark)) throw new SyntaxError(`${mark} is missing`)
  }
}
