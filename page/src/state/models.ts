import type { Model, Plan } from '../../api/types.gen.ts'
import { Refusal, type Client } from '../api/client.ts'
import { labelOf } from '../components/labels.ts'
import { MOST_MODELS, type ModelSource } from './link.ts'
import type { Session } from './session.ts'

const POLL_MS = 400

type Status = 'looking' | 'absent' | 'building' | 'ready' | 'failed'

/** A model on this page. */
export interface Entry {
  readonly source: ModelSource
  /** 1 to 8: its colour in every chart, by its position in the link. */
  colour: number
  label: string
  status: Status
  id: string | undefined
  /** The last response of the service for it. */
  model: Model | undefined
  /** The reason of a failed build or look-up. */
  reason: string | undefined
  /** The time at which its build was requested, by performance.now(). */
  since: number | undefined
}

/** The models of the page's link: looked up on this service, built on request. */
export class Models {
  readonly #client: Client
  readonly #session: Session
  readonly #listeners: (() => void)[] = []
  #entries: readonly Entry[] = []

  constructor(client: Client, session: Session) {
    this.#client = client
    this.#session = session
    session.onChange((before) => {
      if (before.models !== session.models || before.fields['chosen'] !== session.field('chosen'))
        this.#follow()
    })
    this.#follow()
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  /** The model that single-model views show. */
  get chosen(): Entry | undefined {
    return this.#entries[Number(this.#session.field('chosen') ?? 0)] ?? this.#entries.at(-1)
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Adds a model to the page unless it is there, and selects it. */
  add(source: ModelSource): Entry | undefined {
    const { models } = this.#session
    const known = models.findIndex((model) => same(model, source))
    if (known < 0 && models.length >= MOST_MODELS) return undefined
    const chosen = known < 0 ? models.length : known
    this.#session.set({
      models: known < 0 ? [...models, source] : models,
      fields: { chosen: String(chosen) },
    })
    return this.#entries[chosen]
  }

  choose(entry: Entry): void {
    this.#session.set({ fields: { chosen: String(this.#entries.indexOf(entry)) } })
  }

  remove(entry: Entry): void {
    const models = this.#session.models.filter((model) => !same(model, entry.source))
    this.#session.set({ models, fields: { chosen: undefined } })
  }

  /** Builds a model on the service and follows it until it is ready or has failed. */
  async build(entry: Entry): Promise<void> {
    if (!('spec' in entry.source) || entry.status === 'building') return
    entry.since = performance.now()
    this.#update(entry, { status: 'building', reason: undefined })
    try {
      const model = await this.#client.json<Model>({
        method: 'POST',
        path: '/v1/models',
        headers: { prefer: 'respond-async' },
        json: entry.source.spec,
      })
      await this.#until(entry, model)
    } catch (error) {
      this.#update(entry, { status: 'failed', reason: (error as Error).message })
    }
  }

  #follow(): void {
    this.#entries = this.#session.models.map((source, index) => {
      const colour = index + 1
      const known = this.#entries.find((entry) => same(entry.source, source))
      if (known !== undefined) return Object.assign(known, { colour })
      const entry: Entry = {
        ...{ source, colour, label: labelOf(source), status: 'looking' },
        ...{ id: undefined, model: undefined, reason: undefined, since: undefined },
      }
      void this.#find(entry)
      return entry
    })
    this.#changed()
  }

  /** An id follows from the specification, so it is known before the model exists. */
  async #find(entry: Entry): Promise<void> {
    try {
      const { source } = entry
      entry.id =
        'id' in source
          ? source.id
          : (await this.#client.json<Plan>({ method: 'POST', path: '/v1/plans', json: source.spec })).id
      if (entry.status !== 'looking') return
      await this.#until(entry, await this.#get(entry.id))
    } catch (error) {
      if (entry.status !== 'looking') return
      const absent = error instanceof Refusal && error.problem.status === 404
      this.#update(
        entry,
        absent ? { status: 'absent' } : { status: 'failed', reason: (error as Error).message },
      )
    }
  }

  async #until(entry: Entry, first: Model): Promise<void> {
    let model = first
    for (;;) {
      const { id, state, last_error } = model
      const status = state === 'unloaded' ? 'ready' : state
      this.#update(entry, { id, model, status, reason: last_error?.detail })
      // The digest of the weights follows within seconds.
      if (status === 'failed' || (status === 'ready' && model.weights_sha256 !== null)) return
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      model = await this.#get(id)
    }
  }

  #get(id: string): Promise<Model> {
    return this.#client.json<Model>({ method: 'GET', path: `/v1/models/${id}` })
  }

  #update(entry: Entry, change: Partial<Entry>): void {
    Object.assign(entry, change)
    if ('id' in entry.source && entry.model !== undefined) entry.label = labelOf(entry.source, entry.model)
    this.#changed()
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

const same = (one: ModelSource, other: ModelSource): boolean => JSON.stringify(one) === JSON.stringify(other)
