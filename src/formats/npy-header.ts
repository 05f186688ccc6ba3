/** A value in the Python literal of an npy header. */
export type Literal = string | number | boolean | null | readonly Literal[] | ReadonlyMap<string, Literal>

/** numpy's headers have three levels; a structured dtype adds one for each nested structure. */
const MAX_DEPTH = 16
const TOKEN =
  /\s*(?:(?<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?<number>-?\d+)L?|(?<word>True|False|None)|(?<mark>[()[\]{},:]))/suy
const WORDS: Readonly<Record<string, boolean | null>> = { True: true, False: false, None: null }
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']' }

/**
 * Parses the dictionary of an npy header: a Python literal, in which numpy uses strings, integers, True, False,
 * None, tuples, lists and one dictionary. Returns undefined for any other text.
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
    if (depth === 0) throw new SyntaxError('the literal is nested too deeply')
    const { text, number, word, mark } = this.#next()
    if (text !== undefined) return text.slice(1, -1)
    if (number !== undefined) return Number(number)
    if (word !== undefined) return WORDS[word] ?? null
    if (mark === '{') return this.#dictionary(depth)
    const closing = CLOSING[mark ?? '']
    if (closing === undefined) throw new SyntaxError('a value is missing')
    return this.#sequence(closing, depth)
  }

  #sequence(closing: string, depth: number): Literal {
    const values: Literal[] = []
    while (!this.#takes(closing)) {
      values.push(this.value(depth - 1))
      const isOnlyOne = values.length === 1 && closing === ')'
      if (this.#takes(',')) continue
      this.#expect(closing)
      // Parentheses around one value without a comma are not a tuple.
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
        throw new SyntaxError('the key is not a string, or repeated')
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
    if (groups === undefined) throw new SyntaxError('the text is not a literal')
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
