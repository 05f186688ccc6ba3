import { withSavedModelFolder } from './saved-model.ts'
import type { Backend, Binding } from './binding.ts'

/** A value fed to a session: its own dtype, never converted. */
export interface Feed {
  readonly values: Uint8Array | Int32Array | Float32Array
  readonly shape: readonly number[]
}

/**
 * A loaded SavedModel. Runs are synchronous and hold the process's only JavaScript thread. The session checks neither
 * rank nor size of a feed (a wrong rank aborts the process), so callers must. Whoever opens a session closes it.
 *
 * Every distinct list of fetched names becomes an executor that TensorFlow keeps: fetch few, fixed lists.
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
    const binding = this.#binding
    const inputs = Object.values(feeds).map(({ values, shape }) =>
      binding.createTensor([...shape], dtypeOf(binding, values), values),
    )
    try {
      const outputs = binding.runSavedModel(this.#id, inputs, Object.keys(feeds).join(','), fetches.join(','))
      return outputs.map(({ id }) => {
        const values = binding.tensorDataSync(id)
        binding.deleteTensor(id)
        return values
      })
    } finally {
      for (const id of inputs) binding.deleteTensor(id)
    }
  }

  close(): void {
    this.#binding.deleteSavedModel(this.#id)
  }
}

function dtypeOf(binding: Binding, values: Feed['values']): number {
  if (values instanceof Uint8Array) return binding.TF_UINT8
  return values instanceof Int32Array ? binding.TF_INT32 : binding.TF_FLOAT
}
