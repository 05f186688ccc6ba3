import { readLink, writeLink, type State } from './link.ts'

/** The state of the page. The address always matches it, so a copied address reproduces the page. */
export class Session {
  #state: State
  readonly #listeners: ((before: State) => void)[] = []

  constructor(views: readonly string[]) {
    const read = (): State => {
      const state = readLink(location.hash)
      return views.includes(state.view) ? state : { ...state, view: views[0] ?? '' }
    }
    this.#state = read()
    addEventListener('hashchange', () => {
      this.#become(read())
    })
  }

  get view(): string {
    return this.#state.view
  }

  get models(): State['models'] {
    return this.#state.models
  }

  field(name: string): string | undefined {
    return this.#state.fields[name]
  }

  /** Undefined fields are removed. */
  set({ fields = {}, ...change }: Partial<Omit<State, 'fields'>> & { readonly fields?: Fields }): void {
    const kept = Object.entries({ ...this.#state.fields, ...fields }).filter(
      ([, value]) => value !== undefined,
    )
    const state = { ...this.#state, ...change, fields: Object.fromEntries(kept) as State['fields'] }
    const link = writeLink(state)
    if (link === writeLink(this.#state)) return
    // A change of the view creates a history entry; a keystroke does not.
    if (state.view === this.#state.view) history.replaceState(null, '', link)
    else history.pushState(null, '', link)
    this.#become(state)
  }

  /** Registers a listener that receives the previous state after every change. */
  onChange(listener: (before: State) => void): void {
    this.#listeners.push(listener)
  }

  #become(state: State): void {
    const before = this.#state
    this.#state = state
    for (const listener of this.#listeners) listener(before)
  }
}

type Fields = Readonly<Record<string, string | undefined>>
