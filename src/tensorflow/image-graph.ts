import { fstatSync } from 'node:fs'
import { sizeOf } from '../initializers/fans.ts'
import type { Preprocessing } from '../network/preprocessing.ts'
import type { Backend } from './binding.ts'
import { FLOAT, GraphWriter, UINT8 } from './graph.ts'
import { DataType } from './proto.ts'
import { preprocess, RECIPE } from './recipe.ts'
import { savedModelBytes } from './saved-model.ts'
import { Session, type Feed, type TensorHandle } from './session.ts'

/** The tensors to feed, each with the tensor to fetch for it. */
const JPEGS = { fed: 'jpegs:0', fetched: 'from_jpegs:0' } as const
const PIXELS = { fed: 'pixels:0', fetched: 'from_pixels:0' } as const

const COLOURS = 3
const STDERR = 2
const DECODING = { channels: { integer: COLOURS }, dct_method: { text: 'INTEGER_ACCURATE' } }

/**
 * Makes images ready for a network. JPEGs of its size are decoded by TensorFlow's DecodeJpeg: libjpeg-turbo, as in
 * sharp, and with the same pixels. For a network on the CPU preprocessing follows at once, image by image, while that
 * image is in the cache; a GPU is sent its pixels, a quarter of the bytes. A batch is one run and its results stay
 * with the library. Whoever opens it closes it.
 */
export class Images {
  readonly #session: Session
  readonly #shape: readonly number[]
  readonly #preprocesses: boolean

  private constructor(session: Session, shape: readonly number[], preprocesses: boolean) {
    this.#session = session
    this.#shape = shape
    this.#preprocesses = preprocesses
  }

  /** For images of shape [height, width, channels]. */
  static async open(
    backend: Backend,
    shape: readonly number[],
    preprocessing: Preprocessing,
  ): Promise<Images> {
    const preprocesses = backend.device === 'CPU'
    const graph = preparingGraph(shape, preprocesses ? preprocessing : undefined)
    return new Images(await Session.open(backend, graph), shape, preprocesses)
  }

  /** The tensor of a recipe that takes what is handed over. */
  get input(): string {
    return this.#preprocesses ? RECIPE.images : RECIPE.pixels
  }

  /** Hands over what pixels, uint8 [count, height, width, channels], amount to, for as long as `use` runs. */
  prepared<R>(pixels: Uint8Array, count: number, use: (images: Feed) => R): R {
    const feed = { values: pixels, shape: [count, ...this.#shape] }
    return this.#preprocesses ? withTensor(this.#run(PIXELS, feed), use) : use(feed)
  }

  /** The same of JPEGs; and the indices of those that cannot be decoded to that size, whose rows say nothing. */
  decoded<R>(jpegs: readonly Uint8Array[], use: (images: Feed, undecoded: readonly number[]) => R): R {
    const whole = this.#decode(jpegs)
    const undecoded = whole ? [] : this.#undecodable(jpegs)
    // One that is sound takes the place of each that is not.
    const sound = jpegs.find((_, index) => !undecoded.includes(index))
    const batch =
      whole ?? (sound && this.#decode(jpegs.map((jpeg, index) => (undecoded.includes(index) ? sound : jpeg))))
    if (batch !== undefined) return withTensor(batch, (images) => use(images, undecoded))
    const none = new Uint8Array(jpegs.length * sizeOf(this.#shape))
    return this.prepared(none, jpegs.length, (images) => use(images, [...jpegs.keys()]))
  }

  /** Undefined where one of them fails, or libjpeg warns of one: the run does not say which. */
  #decode(jpegs: readonly Uint8Array[]): TensorHandle | undefined {
    const before = stderrBytes()
    try {
      const held = this.#run(JPEGS, { values: jpegs, shape: [jpegs.length] })
      if (stderrBytes() === before) return held
      held.close()
      return undefined
    } catch {
      return undefined
    }
  }

  #undecodable(jpegs: readonly Uint8Array[]): number[] {
    return jpegs.flatMap((jpeg, index) => {
      const alone = this.#decode([jpeg])
      alone?.close()
      return alone ? [] : [index]
    })
  }

  close(): void {
    this.#session.close()
  }

  #run({ fed, fetched }: typeof JPEGS | typeof PIXELS, feed: Feed): TensorHandle {
    const [held] = this.#session.runToHandles({ [fed]: feed }, [fetched])
    if (held === undefined) throw new TypeError(`the session gave no ${fetched}`)
    return held
  }
}

/** What was written to stderr, where that is a file: libjpeg's warnings show nowhere else. */
function stderrBytes(): number {
  return fstatSync(STDERR).size
}

function withTensor<R>(held: TensorHandle, use: (images: TensorHandle) => R): R {
  try {
    return use(held)
  } finally {
    held.close()
  }
}

/** From JPEGs where images have as many colours, and from pixels; preprocessed where it is said how. */
function preparingGraph(shape: readonly number[], preprocessing: Preprocessing | undefined): Uint8Array {
  const graph = new GraphWriter()
  const result = preprocessing === undefined ? DataType.uint8 : DataType.float
  const ready = (body: GraphWriter, pixels: string): string => {
    if (preprocessing === undefined) return pixels
    const images = body.node('Reshape', [pixels, body.integers([1, ...shape])], { T: UINT8 })
    const prepared = preprocess(body, body.cast(images, UINT8, FLOAT), shape, preprocessing)
    return body.node('Reshape', [prepared, body.integers(shape)], { T: FLOAT })
  }
  const forEach = (images: string, argument: number, call: string, name: string): void => {
    const attributes = {
      Targuments: { types: [argument] },
      output_types: { types: [result] },
      output_shapes: { shapes: [shape] },
      f: { call },
    }
    graph.node('MapDefun', [images], attributes, { name })
  }
  if (preprocessing !== undefined) {
    graph.unaryFunction('prepare', { argument: DataType.uint8, result }, ready)
    const pixels = graph.placeholder('pixels', DataType.uint8, [-1, ...shape])
    forEach(pixels, DataType.uint8, 'prepare', 'from_pixels')
  }
  if (shape.at(-1) === COLOURS) {
    graph.unaryFunction('decode', { argument: DataType.string, result }, (body, jpeg) => {
      const decoded = body.node('DecodeJpeg', [jpeg], DECODING)
      // Before anything could reshape what is of another size.
      return ready(body, body.node('EnsureShape', [decoded], { T: UINT8, shape: { shape } }))
    })
    forEach(graph.placeholder('jpegs', DataType.string, [-1]), DataType.string, 'decode', 'from_jpegs')
  }
  return savedModelBytes({ graph, signatures: {} })
}
