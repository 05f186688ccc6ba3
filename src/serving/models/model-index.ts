import { ServiceError } from '../../common/errors.ts'
import { Mutex } from '../../common/mutex.ts'
import type { Model } from './model.ts'
import { NameIndex } from './name-index.ts'
import { isId, isIdPrefix } from './names.ts'
import type { Store } from './store.ts'

/**
 * Which models there are, and which one a name stands for. What changes the data folder, or takes over what others have
 * changed there, does so in turn, so that memory follows the disk and never what it was. A name whose model is not there
 * is no name.
 */
export class ModelIndex<M extends Model> {
  readonly #store: Store
  readonly #models = new Map<string, M>()
  /** Nobody finds them any more, but who was admitted before is served. */
  readonly #retired = new Map<string, M>()
  readonly #names = new NameIndex()
  readonly #mutex = new Mutex()

  constructor(store: Store) {
    this.#store = store
  }

  /** Runs what changes the folder, or follows it, when nothing else does. */
  runExclusive<R>(job: () => Promise<R>): Promise<R> {
    return this.#mutex.runExclusive(job)
  }

  /** There, perhaps again. */
  add(model: M): void {
    const { id } = model.record
    this.#retired.delete(id)
    this.#models.set(id, model)
  }

  /** Not to be found from now on, until it is added again or forgotten. */
  retire(model: M): void {
    const { id } = model.record
    if (!this.has(model)) return
    this.#models.delete(id)
    this.#retired.set(id, model)
  }

  /** The last of a model that left; says whether it had left, and did not come back. */
  purge(model: M): boolean {
    const { id } = model.record
    return this.#retired.get(id) === model && this.#retired.delete(id)
  }

  /** Whether this very model is there, and not another that has its id. */
  has(model: M): boolean {
    return this.get(model.record.id) === model
  }

  get(id: string): M | undefined {
    return this.#models.get(id)
  }

  retired(id: string): M | undefined {
    return this.#retired.get(id)
  }

  /** All models in order of creation. */
  list(): M[] {
    return [...this.#models.values()].sort(
      ({ record: a }, { record: b }) => compare(a.created_at, b.created_at) || compare(a.id, b.id),
    )
  }

  /** All models in no order. */
  models(): Iterable<M> {
    return this.#models.values()
  }

  /** All models, those that are leaving too: what the engine may hold. */
  held(): M[] {
    return [...this.#models.values(), ...this.#retired.values()]
  }

  /** By name, id or unique id prefix. */
  find(reference: string): M {
    const [match, ...others] = this.#matching(reference)
    if (match === undefined) throw notFound(reference)
    if (others.length === 0) return match
    const fitting = `${String(others.length + 1)} models`
    throw new ServiceError('MODEL_NOT_FOUND', `the id prefix ${reference} fits ${fitting}; give more of it`)
  }

  /** Whether it would be found. */
  knows(reference: string): boolean {
    return this.#matching(reference).length === 1
  }

  /** The model a name stands for. */
  named(name: string): M | undefined {
    const id = this.#names.get(name)
    return id === undefined ? undefined : this.get(id)
  }

  namesOf(id: string): string[] {
    return this.#models.has(id) ? this.#names.of(id) : []
  }

  /** Names that are known here, also those whose model is not there. */
  names(): string[] {
    return this.#names.all()
  }

  /** To be called in turn: takes over a name as it is stored. */
  async followName(name: string): Promise<void> {
    const id = await this.#store.names.read(name)
    if (id === undefined) this.#names.delete(name)
    else this.#names.set(name, id)
  }

  /** Creates the name. NAME_TAKEN where it stands for another model. */
  createName(name: string, id: string): Promise<void> {
    return this.runExclusive(async () => {
      const owner = await this.#store.names.create(name, id)
      this.#names.set(name, owner)
      if (owner !== id) throw nameTaken(name, owner)
    })
  }

  /** Creates the name or moves it. */
  setName(name: string, id: string): Promise<void> {
    return this.runExclusive(async () => {
      await this.#store.names.save(name, id)
      this.#names.set(name, id)
    })
  }

  /** Says whether there was such a name when its turn came. */
  deleteName(name: string): Promise<boolean> {
    return this.runExclusive(async () => {
      if (this.named(name) === undefined) return false
      const removed = await this.#store.names.remove(name)
      this.#names.delete(name)
      return removed
    })
  }

  /** To be called in turn: names that have moved to another model meanwhile stay. */
  async deleteNamesOf(id: string): Promise<void> {
    for (const name of this.#names.of(id)) {
      await this.#store.names.remove(name, id)
      this.#names.delete(name)
    }
  }

  #matching(reference: string): M[] {
    const exact = this.named(reference) ?? this.get(reference)
    if (exact) return [exact]
    if (!isIdPrefix(reference)) return []
    return [...this.#models.values()].filter(({ record }) => record.id.startsWith(reference))
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

export function nameTaken(name: string, owner: string): ServiceError {
  return new ServiceError(
    'NAME_TAKEN',
    `the name ${name} belongs to the model ${owner}; PUT /v1/models/${name} moves it, or choose another`,
  )
}

function notFound(reference: string): ServiceError {
  const hint = isId(reference)
    ? 'POST its specification to /v1/models'
    : 'GET /v1/models lists those there are'
  return new ServiceError('MODEL_NOT_FOUND', `there is no model ${JSON.stringify(reference)}; ${hint}`)
}
