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

/** The result of the last verification of a file. */
interface Verdict {
  readonly stamp: string
  readonly problem: string | undefined
}

/**
 * Verifies the stored weights of models against their ids, which depend on the weights' digest: at a file's first use in
 * this process, and after every change of its size, times or inode. A separate thread reads one file at a time, in parts.
 */
export class Verification {
  readonly #weightsFile: (id: string) => string
  readonly #verdicts = new Map<string, Verdict>()
  readonly #running = new Map<string, Promise<string>>()
  readonly #mutex = new Mutex()

  constructor(weightsFile: (id: string) => string) {
    this.#weightsFile = weightsFile
  }

  /** Returns a stamp that changes with the file. Rejects with WEIGHTS_DAMAGED if the file has other contents. */
  verify(record: StoredModel): Promise<string> {
    const { id } = record
    let running = this.#running.get(id)
    if (running === undefined) {
      running = this.#verify(record).finally(() => this.#running.delete(id))
      this.#running.set(id, running)
    }
    return running
  }

  /** Drops the result of a deleted model. */
  purge(id: string): void {
    this.#verdicts.delete(id)
  }

  async #verify(record: StoredModel): Promise<string> {
    const { id } = record
    const path = this.#weightsFile(id)
    try {
      const stamp = await readStamp(path)
      let verdict = this.#verdicts.get(id)
      if (verdict?.stamp !== stamp) {
        verdict = { stamp, problem: await this.#mutex.runExclusive(() => findProblem(record, path)) }
        if ((await readStamp(path)) !== stamp) throw new Error('the file changed during the read')
        this.#verdicts.set(id, verdict)
      }
      if (verdict.problem !== undefined) throw new Error(verdict.problem)
      return stamp
    } catch (error) {
      throw damaged(id, describeReason(error), error)
    }
  }
}

export function damaged(id: string, reason: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'WEIGHTS_DAMAGED',
    `the stored weights of ${id} differ from the upload: ${reason}; the model is not served. Send the weights again, or delete the model`,
    { cause },
  )
}

async function readStamp(path: string): Promise<string> {
  const found = await stat(path, { bigint: true })
  if (!found.isFile()) throw new Error('the weights file is not a regular file')
  const { size, mtimeNs, ctimeNs, ino, dev } = found
  return [size, mtimeNs, ctimeNs, ino, dev].join('.')
}

/** Describes the difference between a file and the weights of a record; undefined if there is none. */
async function findProblem(record: StoredModel, path: string): Promise<string | undefined> {
  const { id, specification, weights_sha256 } = record
  const plan = planSpecification(specification)
  const tensors = plan.parameters.map((parameter) => ({
    name: parameter.name,
    shape: parameter.shape,
    trainable: !isBuffer(parameter),
  }))
  try {
    const { all, trainable } = await computeDigests({ path, tensors })
    if (identify(plan, all) !== id)
      return `the digest of the tensors is ${all}, which does not result in the id`
    if (weights_sha256 !== null && weights_sha256 !== trainable)
      return `the digest of the parameters is ${trainable}, the record has ${weights_sha256}`
    return undefined
  } catch (error) {
    // A failed read is not a property of the file: do not keep it.
    if (isSystemError(error)) throw error
    return (error as Error).message
  }
}

async function computeDigests(request: DigestsRequest): Promise<WeightsDigests> {
  const thread = new Worker(childEntry('serving/models/weights-digests.js'), { workerData: request })
  try {
    const [digests] = (await once(thread, 'message')) as [WeightsDigests]
    return digests
  } finally {
    await thread.terminate()
  }
}

/** Omits the path, which is internal. */
function describeReason(error: unknown): string {
  if (!isSystemError(error)) return (error as Error).message
  const code = errnoCode(error) ?? 'unknown cause'
  return code === 'ENOENT' ? 'the file is missing' : `the file cannot be read (${code})`
}

function isSystemError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).syscall !== undefined
}
