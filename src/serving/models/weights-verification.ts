import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { ServiceError } from '../../common/errors.ts'
import { identify } from '../../network/identity.ts'
import { isBuffer } from '../../network/parameters.ts'
import { planSpecification } from '../../network/plan.ts'
import { Mutex } from '../../common/mutex.ts'
import { childEntry } from '../../ipc/child-entry.ts'
import { errnoCode } from './files.ts'
import type { StoredModel } from './records.ts'
import type { DigestsRequest, WeightsDigests } from './weights-digests.ts'

/** How a file was when it was last judged. */
interface Verdict {
  readonly stamp: string
  readonly problem: string | undefined
}

/**
 * Holds the stored weights of models against their ids, which name their digest: when this process first opens a file, and
 * again whenever the file is another than then, by its size, its times or its inode. A thread of its own reads it, one file
 * at a time and in parts.
 */
export class Verification {
  readonly #weightsFile: (id: string) => string
  readonly #verdicts = new Map<string, Verdict>()
  readonly #running = new Map<string, Promise<string>>()
  readonly #turns = new Mutex()

  constructor(weightsFile: (id: string) => string) {
    this.#weightsFile = weightsFile
  }

  /** What is equal as long as the file is the same. Rejects with WEIGHTS_DAMAGED where it does not hold the weights. */
  verify(record: StoredModel): Promise<string> {
    const { id } = record
    let running = this.#running.get(id)
    if (running === undefined) {
      running = this.#verify(record).finally(() => this.#running.delete(id))
      this.#running.set(id, running)
    }
    return running
  }

  /** For a model that is gone. */
  forget(id: string): void {
    this.#verdicts.delete(id)
  }

  async #verify(record: StoredModel): Promise<string> {
    const { id } = record
    const path = this.#weightsFile(id)
    try {
      const stamp = await stampOf(path)
      let verdict = this.#verdicts.get(id)
      if (verdict?.stamp !== stamp) {
        verdict = { stamp, problem: await this.#turns.runExclusive(() => problemOf(record, path)) }
        if ((await stampOf(path)) !== stamp) throw new Error('they changed while they were read')
        this.#verdicts.set(id, verdict)
      }
      if (verdict.problem !== undefined) throw new Error(verdict.problem)
      return stamp
    } catch (error) {
      throw damaged(id, reasonOf(error), error)
    }
  }
}

export function damaged(id: string, reason: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'WEIGHTS_DAMAGED',
    `the stored weights of ${id} are not what was loaded: ${reason}; nothing of it is served. Send the weights again, or delete the model`,
    { cause },
  )
}

async function stampOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true })
  if (!found.isFile()) throw new Error('what lies in their place is no file')
  const { size, mtimeNs, ctimeNs, ino, dev } = found
  return [size, mtimeNs, ctimeNs, ino, dev].join('.')
}

/** What is wrong with a file, or undefined where it holds the weights that the record names. */
async function problemOf(record: StoredModel, path: string): Promise<string | undefined> {
  const { id, specification, weights_sha256 } = record
  const plan = planSpecification(specification)
  const tensors = plan.parameters.map((parameter) => ({
    name: parameter.name,
    shape: parameter.shape,
    trainable: !isBuffer(parameter),
  }))
  try {
    const { all, trainable } = await digestsOf({ path, tensors })
    if (identify(plan, all) !== id)
      return `the digest of their tensors is ${all}, which is not that of the id`
    if (weights_sha256 !== null && weights_sha256 !== trainable)
      return `the digest of their parameters is ${trainable}, the record says ${weights_sha256}`
    return undefined
  } catch (error) {
    // What a disk fails to read now it may read later.
    if (isOfSystem(error)) throw error
    return (error as Error).message
  }
}

async function digestsOf(request: DigestsRequest): Promise<WeightsDigests> {
  const thread = new Worker(childEntry('serving/models/weights-digests.js'), { workerData: request })
  try {
    const [digests] = (await once(thread, 'message')) as [WeightsDigests]
    return digests
  } finally {
    await thread.terminate()
  }
}

/** Without the path, which no client has to know. */
function reasonOf(error: unknown): string {
  if (!isOfSystem(error)) return (error as Error).message
  const code = errnoCode(error) ?? 'unknown cause'
  return code === 'ENOENT' ? 'their file is missing' : `their file cannot be read (${code})`
}

function isOfSystem(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall !== undefined
}
