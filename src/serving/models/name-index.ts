/** The model of each name, and the names of each model in order of creation. */
export class NameIndex {
  readonly #ids = new Map<string, string>()
  readonly #names = new Map<string, Set<string>>()

  get(name: string): string | undefined {
    return this.#ids.get(name)
  }

  list(): string[] {
    return [...this.#ids.keys()]
  }

  listNames(id: string): string[] {
    return [...(this.#names.get(id) ?? [])]
  }

  set(name: string, id: string): void {
    if (this.#ids.get(name) === id) return
    this.delete(name)
    this.#ids.set(name, id)
    const names = this.#names.get(id)
    if (names === undefined) this.#names.set(id, new Set([name]))
    else names.add(name)
  }

  delete(name: string): void {
    const id = this.#ids.get(name)
    if (id === undefined) return
    this.#ids.delete(name)
    const names = this.#names.get(id)
    names?.delete(name)
    if (names?.size === 0) this.#names.delete(id)
  }
}
