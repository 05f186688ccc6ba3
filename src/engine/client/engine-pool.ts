import { isCrash, ServiceError } from '../../common/errors.ts'
import type { Batch, BatchResult, BuildRequest, BuildResult, Engine, EngineInfo } from '../contract.ts'
import { CompositeEngine } from './composite-engine.ts'

/** Attempts to restore a model on a crashed engine. After that, the engine lacks the model until its next build. */
const RESTORES = 2

interface PoolMember {
  readonly engine: Engine
  /** Ids of its models. */
  modelIds: Set<string>
  /** Images in computation. */
  busy: number
}

/**
 * An engine over several engines, one per device. Models are built on all of them, and a batch runs on the least
 * busy one that has its model. A crash affects the batch of that engine only; the others continue, and the crashed
 * one rebuilds its models after its restart. A pool of one behaves like that engine.
 *
 * `start` starts the engine of a device. `lost` is called for a model that no engine has any more, or without an id
 * for all models.
 */
export function startPool(
  devices: readonly (string | undefined)[],
  start: (device: string | undefined, onLost: () => void) => Engine,
  lost: (id?: string) => void,
): Engine {
  const [device, ...more] = devices
  if (more.length === 0) {
    return start(device, () => {
      lost()
    })
  }
  return new Pool(devices, start, lost)
}

class Pool extends CompositeEngine implements Engine {
  protected readonly members: readonly PoolMember[]
  readonly #models = new Map<string, { readonly request: BuildRequest; readonly seal: string }>()
  readonly #lost: (id: string) => void

  constructor(
    devices: readonly (string | undefined)[],
    start: (device: string | undefined, onLost: () => void) => Engine,
    lost: (id: string) => void,
  ) {
    super()
    this.#lost = lost
    this.members = devices.map((device, index) => ({
      engine: start(device, () => {
        this.#died(this.members[index])
      }),
      modelIds: new Set<string>(),
      busy: 0,
    }))
  }

  async info(): Promise<EngineInfo> {
    const [first] = await Promise.all(this.members.map(({ engine }) => engine.info()))
    if (first === undefined) throw new TypeError('the pool has no engines')
    return first
  }

  async build(request: BuildRequest): Promise<BuildResult> {
    const builds = await Promise.allSettled(this.members.map((member) => buildOn(member, request)))
    const results = builds.map((build) => {
      if (build.status === 'rejected') throw build.reason
      return build.value
    })
    const [first] = results
    if (first === undefined) throw new TypeError('the pool has no engines')
    const other = results.find(({ seal }) => seal !== first.seal)
    if (other) {
      throw new ServiceError(
        'WEIGHTS_DIVERGED',
        `two devices sealed the variables of ${request.id} differently: ${first.seal} and ${other.seal}`,
      )
    }
    this.#models.set(request.id, { request, seal: first.seal })
    return first
  }

  async predict(batch: Batch): Promise<BatchResult> {
    const [member] = this.members
      .filter(({ modelIds, engine }) => modelIds.has(batch.id) && engine.ready)
      .sort((a, b) => a.busy - b.busy)
    if (member === undefined)
      throw new ServiceError('MODEL_NOT_READY', `no engine has model ${batch.id} at present`)
    member.busy += batch.count
    try {
      return await member.engine.predict(batch)
    } finally {
      member.busy -= batch.count
    }
  }

  async unload(id: string): Promise<void> {
    this.#models.delete(id)
    for (const { modelIds } of this.members) modelIds.delete(id)
    await Promise.allSettled(this.members.map(({ engine }) => engine.unload(id)))
  }

  get pid(): undefined {
    return undefined
  }

  get concurrency(): number {
    return this.members.length
  }

  #died(member: PoolMember | undefined): void {
    if (member === undefined) return
    const lostIds = member.modelIds
    member.modelIds = new Set()
    for (const id of lostIds) {
      if (this.members.some(({ modelIds }) => modelIds.has(id))) void this.#restore(member, id, RESTORES)
      else this.#lost(id)
    }
  }

  /** Rebuilds a model on an engine that crashed; the build waits for its next process. */
  async #restore(member: PoolMember, id: string, attempts: number): Promise<void> {
    const model = this.#models.get(id)
    if (model === undefined || attempts === 0) return
    try {
      const { seal } = await buildOn(member, model.request)
      if (this.#models.get(id) !== model || seal !== model.seal) {
        member.modelIds.delete(id)
        await member.engine.unload(id)
      }
    } catch (error) {
      if (isCrash(error)) await this.#restore(member, id, attempts - 1)
    }
  }
}

async function buildOn(member: PoolMember, request: BuildRequest): Promise<BuildResult> {
  const result = await member.engine.build(request)
  member.modelIds.add(request.id)
  return result
}
