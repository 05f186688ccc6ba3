import { sizeOf } from '../../initializers/fans.ts'
import type { Backend } from './binding.ts'
import { GraphWriter } from './graph.ts'
import { DataType } from './proto.ts'
import { savedModelBytes } from './saved-model.ts'
import { Session, type Feed } from './session.ts'

const INPUT = 'jpegs:0'
const PIXELS = 'pixels:0'

/**
 * Decodes JPEGs of one size by TensorFlow's DecodeJpeg: libjpeg-turbo, as in sharp, and with the same pixels. A batch is
 * one run and its pixels stay with the library. Whoever opens it closes it.
 */
export class Jpegs {
  readonly #session: Session
  readonly #shape: readonly number[]

  private constructor(session: Session, shape: readonly number[]) {
    this.#session = session
    this.#shape = shape
  }

  /** For pixels of shape [height, width, 3]. */
  static async open(backend: Backend, shape: readonly number[]): Promise<Jpegs> {
    return new Jpegs(await Session.open(backend, decodingGraph(shape)), shape)
  }

  /**
   * Hands over pixels, uint8 [n, height, width, 3], for as long as `use` runs; and the indices of those that cannot be
   * decoded to that size, which are black.
   */
  decoded<R>(jpegs: readonly Uint8Array[], use: (pixels: Feed, undecoded: readonly number[]) => R): R {
    const batch = this.#decodeAll(jpegs)
    if (batch === undefined) return this.#decodeEach(jpegs, use)
    try {
      return use(batch, [])
    } finally {
      batch.close()
    }
  }

  /** Undefined where one of them fails: the run says not which. */
  #decodeAll(jpegs: readonly Uint8Array[]) {
    try {
      return this.#session.hold({ [INPUT]: { values: jpegs, shape: [jpegs.length] } }, [PIXELS])[0]
    } catch {
      return undefined
    }
  }

  #decodeEach<R>(jpegs: readonly Uint8Array[], use: (pixels: Feed, undecoded: readonly number[]) => R): R {
    const size = sizeOf(this.#shape)
    const values = new Uint8Array(jpegs.length * size)
    const undecoded = jpegs.flatMap((jpeg, index) => {
      const held = this.#decodeAll([jpeg])
      if (held === undefined) return [index]
      values.set(held.read(), index * size)
      held.close()
      return []
    })
    return use({ values, shape: [jpegs.length, ...this.#shape] }, undecoded)
  }

  close(): void {
    this.#session.close()
  }
}

function decodingGraph(shape: readonly number[]): Uint8Array {
  const graph = new GraphWriter()
  const jpegs = graph.placeholder('jpegs', DataType.string, [-1])
  graph.unaryFunction(
    'decode',
    { argument: DataType.string, result: DataType.uint8 },
    {
      op: 'DecodeJpeg',
      output: 'image',
      attributes: { channels: { integer: 3 }, dct_method: { text: 'INTEGER_ACCURATE' } },
    },
  )
  graph.node(
    'MapDefun',
    [jpegs],
    {
      Targuments: { types: [DataType.string] },
      output_types: { types: [DataType.uint8] },
      output_shapes: { shapes: [shape] },
      f: { call: 'decode' },
    },
    { name: 'pixels' },
  )
  return savedModelBytes({ graph, signatures: {} })
}
