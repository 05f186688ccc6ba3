import { ServiceError } from '../../common/errors.ts'
import type { Batch, BatchResult, BuildRequest, BuildResult, Engine, EngineInfo } from '../contract.ts'
import { CompositeEngine } from './composite-engine.ts'

/** A process with a prediction within this time is not used for a build if another process is available. */
const IN_USE_MS = 60_000

interface Member {
  readonly engine: Engine
  readonly modelIds: Set<string>
  /** Time of its last prediction. */
  lastUsed: number
}

/**
 * An engine of two processes for one device. A model resides in one of them. While one predicts, the other builds,
 * because some steps of a build (the first run of a deep network) take a second and cannot be split. The second
 * process is started by the first build that would delay a prediction, and stays. Predictions run one after
 * another.
 *
 * `start` starts an engine process; `lost` is called for every model of a process that crashed.
 */
export function startTwoProcessEngine(
  start: (onLost: () => void) => Engine,
  lost: (id: string) => void,
): Engine {
  return new TwoProcessEngine(start, lost)
}

class TwoProcessEngine extends CompositeEngine implements Engine {
  readonly concurrency = 1
  readonly #start: () => Member
  readonly #first: Member
  #second: Member | undefined

  constructor(start: (onLost: () => void) => Engine, lost: (id: string) => void) {
    super()
    this.#start = () => {
      const modelIds = new Set<string>()
      const engine = start(() => {
        const lostIds = [...modelIds]
        modelIds.clear()
        for (const id of lostIds) lost(id)
      })
      return { engine, modelIds, lastUsed: -Infinity }
    }
    this.#first = this.#start()
  }

  info(): Promise<EngineInfo> {
    return this.#first.engine.info()
  }

  async build(request: BuildRequest): Promise<BuildResult> {
    const { id } = request
    const member = this.#pickBuildProcess()
    const result = await member.engine.build(request)
    member.modelIds.add(id)
    for (const other of this.members) if (other !== member) await unloadFrom(other, id)
    return result
  }

  async predict(batch: Batch): Promise<BatchResult> {
    const member = this.members.find(({ modelIds }) => modelIds.has(batch.id))
    if (member === undefined)
      throw new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${batch.id}`)
    member.lastUsed = performance.now()
    return member.engine.predict(batch)
  }

  async unload(id: string): Promise<void> {
    await Promise.all(this.members.map((member) => unloadFrom(member, id)))
  }

  /** PID of the most recently used process. */
  get pid(): number | undefined {
    const [latest = this.#first] = this.members.sort((a, b) => b.lastUsed - a.lastUsed)
    return latest.engine.pid
  }

  protected get members(): Member[] {
    return this.#second === undefined ? [this.#first] : [this.#first, this.#second]
  }

  /** The available process whose models were used least recently, or a new one if that was within IN_USE_MS. */
  #pickBuildProcess(): Member {
    const [idle = this.#first] = this.members
      .filter(({ engine }) => engine.ready)
      .sort((a, b) => lastUse(a) - lastUse(b))
    const isDisturbed = idle.engine.ready && performance.now() - lastUse(idle) < IN_USE_MS
    if (this.#second === undefined && isDisturbed) return (this.#second = this.#start())
    return idle
  }
}

function lastUse({ modelIds, lastUsed: lastUsed }: Member): number {
  return modelIds.size === 0 ? -Infinity : lastUsed
}

async function unloadFrom({ engine, modelIds }: Member, id: string): Promise<void> {
  if (modelIds.delete(id)) await engine.unload(id)
}
