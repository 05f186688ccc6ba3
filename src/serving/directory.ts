import { ServiceError } from '../errors.ts'
import { Turns } from '../turns.ts'
import type { Model } from './model.ts'
import { isId, isIdPrefix } from './names.ts'
import type { Store } from './store.ts'

/**
 * Which models there are, and which one a name stands for. Names change one at a time, in memory and in the store, so
 * that the two agree and a name that moved to another model does not go with the one it left.
 */
export class Directory<M extends Model> {
  readonly #store: Store
  readonly #models = new Map<string, M>()
  readonly #names = new Map<string, string>()
  readonly #turns = new Turns()

  constructor(store: Store) {
    this.#store = store
  }

  add(model: M): void {
    this.#models.set(model.record.id, model)
  }

  remove(model: M): void {
    if (this.has(model)) this.#models.delete(model.record.id)
  }

  /** Whether this very model is there, and not another that has its id. */
  has(model: M): boolean {
    return this.get(model.record.id) === model
  }

  get(id: string): M | undefined {
    return this.#models.get(id)
  }

  /** All models in order of creation. */
  list(): M[] {
    return [...this.#models.values()].sort(
      ({ record: a }, { record: b }) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id),
    )
  }

  /** By name, id or unique id prefix. */
  find(reference: string): M {
    const exact = this.get(this.#names.get(reference) ?? reference)
    if (exact) return exact
    const [match, ...others] = isIdPrefix(reference)
      ? [...this.#models.values()].filter(({ record }) => record.id.startsWith(reference))
      : []
    if (match === undefined) throw notFound(reference)
    if (others.length === 0) return match
    const fitting = `${String(others.length + 1)} models`
    throw new ServiceError('MODEL_NOT_FOUND', `the id prefix ${reference} fits ${fitting}; give more of it`)
  }

  hasName(name: string): boolean {
    return this.#names.has(name)
  }

  namesOf(id: string): string[] {
    return [...this.#names].filter(([, target]) => target === id).map(([name]) => name)
  }

  /** Takes over a name that is stored already. */
  addName(name: string, id: string): void {
    if (this.#models.has(id)) this.#names.set(name, id)
  }

  /** Creates the name or moves it. */
  setName(name: string, id: string): Promise<void> {
    return this.#turns.run(async () => {
      await this.#store.saveName(name, id)
      this.#names.set(name, id)
    })
  }

  /** Says whether there was such a name when its turn came. */
  deleteName(name: string): Promise<boolean> {
    return this.#turns.run(() => this.#deleteName(name))
  }

  deleteNamesOf(id: string): Promise<void> {
    return this.#turns.run(async () => {
      for (const name of this.namesOf(id)) await this.#deleteName(name)
    })
  }

  async #deleteName(name: string): Promise<boolean> {
    if (!this.#names.has(name)) return false
    await this.#store.removeName(name)
    return this.#names.delete(name)
  }
}

function notFound(reference: string): ServiceError {
  const hint = isId(reference)
    ? 'POST its specification to /v1/models'
    : 'GET /v1/models lists those there are'
  return new ServiceError('MODEL_NOT_FOUND', `there is no model ${JSON.stringify(reference)}; ${hint}`)
}
