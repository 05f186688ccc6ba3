import { ServiceError } from '../errors.ts'
import type { Batch, BatchResult, BuildRequest, BuildResult, Engine, EngineInfo } from './engine.ts'
import { Several } from './several.ts'

/** A process that predicted so lately is not disturbed by a build where another can do it. */
const IN_USE_MS = 60_000

interface Member {
  readonly engine: Engine
  readonly held: Set<string>
  /** When it was last asked for a prediction. */
  asked: number
}

/**
 * An engine of two processes, for one device: a model lives in one of them. While one predicts, the other builds, for some
 * steps of a build (the first run of a deep network) take a second and cannot be cut. The second one is started by
 * the first build that would disturb somebody, and stays. Predictions are computed one after the other all the same.
 *
 * `start` makes an engine; `lost` is called for every model of one that died.
 */
export function startApart(start: (onLost: () => void) => Engine, lost: (id: string) => void): Engine {
  return new Apart(start, lost)
}

class Apart extends Several implements Engine {
  readonly lanes = 1
  readonly #start: () => Member
  readonly #first: Member
  #second: Member | undefined

  constructor(start: (onLost: () => void) => Engine, lost: (id: string) => void) {
    super()
    this.#start = () => {
      const held = new Set<string>()
      const engine = start(() => {
        const gone = [...held]
        held.clear()
        for (const id of gone) lost(id)
      })
      return { engine, held, asked: -Infinity }
    }
    this.#first = this.#start()
  }

  info(): Promise<EngineInfo> {
    return this.#first.engine.info()
  }

  async build(request: BuildRequest): Promise<BuildResult> {
    const { id } = request
    const member = this.#leastDisturbed()
    const result = await member.engine.build(request)
    member.held.add(id)
    for (const other of this.members) if (other !== member) await unloadFrom(other, id)
    return result
  }

  async predict(batch: Batch): Promise<BatchResult> {
    const member = this.members.find(({ held }) => held.has(batch.id))
    if (member === undefined)
      throw new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${batch.id}`)
    member.asked = performance.now()
    return member.engine.predict(batch)
  }

  async unload(id: string): Promise<void> {
    await Promise.all(this.members.map((member) => unloadFrom(member, id)))
  }

  /** Of the one that was asked last. */
  get pid(): number | undefined {
    const [latest = this.#first] = this.members.sort((a, b) => b.asked - a.asked)
    return latest.engine.pid
  }

  protected get members(): Member[] {
    return this.#second === undefined ? [this.#first] : [this.#first, this.#second]
  }

  /** The process whose models were asked for longest ago, of those that answer; a new one where that was just now. */
  #leastDisturbed(): Member {
    const [idle = this.#first] = this.members
      .filter(({ engine }) => engine.ready)
      .sort((a, b) => lastAsked(a) - lastAsked(b))
    const isDisturbed = idle.engine.ready && performance.now() - lastAsked(idle) < IN_USE_MS
    if (this.#second === undefined && isDisturbed) return (this.#second = this.#start())
    return idle
  }
}

function lastAsked({ held, asked }: Member): number {
  return held.size === 0 ? -Infinity : asked
}

async function unloadFrom({ engine, held }: Member, id: string): Promise<void> {
  if (held.delete(id)) await engine.unload(id)
}
