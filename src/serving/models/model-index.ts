import { ServiceError } from '../../common/errors.ts'
import { Mutex } from '../../common/mutex.ts'
import type { Model } from './model.ts'
import { NameIndex } from './name-index.ts'
import { isId, isIdPrefix } from './names.ts'
import type { Store } from './store.ts'

/**
 * The models by id and by name. Changes of the data directory, and reads of the changes of other services, run one at a time
 * (`runExclusive`), so memory always has the latest state of the disk. A name without a model counts as missing.
 */
export class ModelIndex<M extends Model> {
  readonly #store: Store
  readonly #models = new Map<string, M>()
  /** Deleted models, which still serve the requests that were admitted before. */
  readonly #retiredModels = new Map<string, M>()
  readonly #names = new NameIndex()
  readonly #mutex = new Mutex()

  constructor(store: Store) {
    this.#store = store
  }

  /** Runs a change or a read of the directory while no other runs. */
  runExclusive<R>(job: () => Promise<R>): Promise<R> {
    return this.#mutex.runExclusive(job)
  }

  /** Adds a model, also one that was retired. */
  add(model: M): void {
    const { id } = model.record
    this.#retiredModels.delete(id)
    this.#models.set(id, model)
  }

  /** Hides a model until it is added again or purged. */
  retire(model: M): void {
    const { id } = model.record
    if (!this.has(model)) return
    this.#models.delete(id)
    this.#retiredModels.set(id, model)
  }

  /** Removes a retired model. Returns false if it has been added again. */
  purge(model: M): boolean {
    const { id } = model.record
    return this.#retiredModels.get(id) === model && this.#retiredModels.delete(id)
  }

  /** True if the index has this object, not another one with its id. */
  has(model: M): boolean {
    return this.get(model.record.id) === model
  }

  get(id: string): M | undefined {
    return this.#models.get(id)
  }

  getRetired(id: string): M | undefined {
    return this.#retiredModels.get(id)
  }

  /** Returns a model, also a retired one: requests that were admitted before its deletion still use it. */
  getWithRetired(id: string): M | undefined {
    return this.#models.get(id) ?? this.#retiredModels.get(id)
  }

  /** All models in order of creation. */
  list(): M[] {
    return [...this.#models.values()].sort(
      ({ record: a }, { record: b }) => compare(a.created_at, b.created_at) || compare(a.id, b.id),
    )
  }

  /** All models, unordered. */
  models(): Iterable<M> {
    return this.#models.values()
  }

  /** All models, including retired ones: the engine may hold any of them. */
  listAll(): M[] {
    return [...this.#models.values(), ...this.#retiredModels.values()]
  }

  /** Finds a model by name, id or unique id prefix. */
  find(reference: string): M {
    const [match, ...others] = this.#matching(reference)
    if (match === undefined) throw notFound(reference)
    if (others.length === 0) return match
    const count = `${String(others.length + 1)} models`
    throw new ServiceError(
      'MODEL_NOT_FOUND',
      `the id prefix ${reference} matches ${count}; send a longer prefix`,
    )
  }

  /** True if `find` returns a model. */
  knows(reference: string): boolean {
    return this.#matching(reference).length === 1
  }

  /** Finds a model by name. */
  findByName(name: string): M | undefined {
    const id = this.#names.get(name)
    return id === undefined ? undefined : this.get(id)
  }

  listNames(id: string): string[] {
    return this.#models.has(id) ? this.#names.listNames(id) : []
  }

  /** All known names, including those without a model. */
  names(): string[] {
    return this.#names.list()
  }

  /** Reads a name from the store. Call it within `runExclusive`. */
  async refreshName(name: string): Promise<void> {
    const id = await this.#store.names.read(name)
    if (id === undefined) this.#names.delete(name)
    else this.#names.set(name, id)
  }

  /** Creates a name. Throws NAME_TAKEN if it belongs to another model. */
  createName(name: string, id: string): Promise<void> {
    return this.runExclusive(async () => {
      const owner = await this.#store.names.create(name, id)
      this.#names.set(name, owner)
      if (owner !== id) throw nameTaken(name, owner)
    })
  }

  /** Creates or moves a name. */
  setName(name: string, id: string): Promise<void> {
    return this.runExclusive(async () => {
      await this.#store.names.save(name, id)
      this.#names.set(name, id)
    })
  }

  /** Deletes a name. Returns false if there is none. */
  deleteName(name: string): Promise<boolean> {
    return this.runExclusive(async () => {
      if (this.findByName(name) === undefined) return false
      const removed = await this.#store.names.remove(name)
      this.#names.delete(name)
      return removed
    })
  }

  /** Deletes an entry of the store that has an id but no usable model. Returns false if there is none. */
  deleteUnusable(id: string): Promise<boolean> {
    return this.runExclusive(async () => {
      if (this.get(id) !== undefined || !(await this.#store.has(id))) return false
      await this.#store.remove(id)
      await this.deleteNames(id)
      return true
    })
  }

  /** Deletes a model's names, except those that have been moved to another model. Call it within `runExclusive`. */
  async deleteNames(id: string): Promise<void> {
    for (const name of this.#names.listNames(id)) {
      await this.#store.names.remove(name, id)
      this.#names.delete(name)
    }
  }

  #matching(reference: string): M[] {
    const exact = this.findByName(reference) ?? this.get(reference)
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
  const hint = isId(reference) ? 'POST its specification to /v1/models' : 'GET /v1/models lists the models'
  return new ServiceError('MODEL_NOT_FOUND', `there is no model ${JSON.stringify(reference)}; ${hint}`)
}
