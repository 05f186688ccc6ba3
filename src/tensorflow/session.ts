import { withSavedModelFolder } from './saved-model.ts'
import type { Backend, Binding } from './binding.ts'

/** A value to feed, in its own dtype without conversion. An array of bytes is a tensor of strings. */
export type Feed =
  | {
      readonly values: Uint8Array | Int32Array | Float32Array | readonly Uint8Array[]
      readonly shape: readonly number[]
    }
  | TensorHandle

/** A result that stays in the library. Its owner closes it. */
export class TensorHandle {
  readonly #binding: Binding
  readonly tensor: number

  constructor(binding: Binding, tensor: number) {
    this.#binding = binding
    this.tensor = tensor
  }

  read(): Uint8Array | Float32Array | Int32Array {
    return this.#binding.tensorDataSync(this.tensor)
  }

  close(): void {
    this.#binding.deleteTensor(this.tensor)
  }
}

/**
 * A loaded SavedModel. Runs are synchronous and block the process's only JavaScript thread. The session checks
 * neither rank nor size of a feed, and a wrong rank aborts the process, so callers must check. The opener closes
 * the session.
 *
 * TensorFlow caches one executor for every distinct list of fetches: use few, fixed lists.
 */
export class Session {
  readonly #binding: Binding
  readonly #id: number

  private constructor(binding: Binding, id: number) {
    this.#binding = binding
    this.#id = id
  }

  static open({ binding }: Backend, bytes: Uint8Array): Promise<Session> {
    return withSavedModelFolder(
      bytes,
      (folder) => new Session(binding, binding.loadSavedModel(folder, 'serve')),
    )
  }

  /** Feeds and fetches by tensor name. Integer results come as Int32Array. */
  run(feeds: Readonly<Record<string, Feed>>, fetches: readonly string[]): (Float32Array | Int32Array)[] {
    return this.runToHandles(feeds, fetches).map((handle) => {
      const values = handle.read() as Float32Array | Int32Array
      handle.close()
      return values
    })
  }

  /** Like `run`, but results stay in the library and can be fed without a copy. */
  runToHandles(feeds: Readonly<Record<string, Feed>>, fetches: readonly string[]): TensorHandle[] {
    const binding = this.#binding
    const made: number[] = []
    const inputs = Object.values(feeds).map((feed) => {
      if (feed instanceof TensorHandle) return feed.tensor
      const tensor = binding.createTensor([...feed.shape], dtypeOf(binding, feed.values), feed.values)
      made.push(tensor)
      return tensor
    })
    try {
      const outputs = binding.runSavedModel(this.#id, inputs, Object.keys(feeds).join(','), fetches.join(','))
      return outputs.map(({ id }) => new TensorHandle(binding, id))
    } finally {
      for (const id of made) binding.deleteTensor(id)
    }
  }

  close(): void {
    this.#binding.deleteSavedModel(this.#id)
  }
}

function dtypeOf(binding: Binding, values: Exclude<Feed, TensorHandle>['values']): number {
  if (values instanceof Uint8Array) return binding.TF_UINT8
  if (Array.isArray(values)) return binding.TF_STRING
  return values instanceof Int32Array ? binding.TF_INT32 : binding.TF_FLOAT
}
