import { fstatSync } from 'node:fs'
import { sizeOf } from '../initializers/fans.ts'
import type { Preprocessing } from '../network/preprocessing.ts'
import type { Backend } from './binding.ts'
import { FLOAT, GraphWriter, UINT8 } from './graph.ts'
import { DataType } from './proto.ts'
import { preprocess, RECIPE } from './recipe.ts'
import { savedModelBytes } from './saved-model.ts'
import { Session, type Feed, type TensorHandle } from './session.ts'

/** Names of the tensors to feed, with the tensors to fetch. */
const JPEGS = { fed: 'jpegs:0', fetched: 'from_jpegs:0' } as const
const PIXELS = { fed: 'pixels:0', fetched: 'from_pixels:0' } as const

const CHANNELS = 3
const STDERR = 2
const DECODING = { channels: { integer: CHANNELS }, dct_method: { text: 'INTEGER_ACCURATE' } }

/**
 * Converts batches to the input of a network. TensorFlow's DecodeJpeg decodes JPEGs of the input's size; it uses
 * libjpeg-turbo like sharp and gives the same pixels. For a network on the CPU the images are also preprocessed,
 * one by one while the image is in the cache; a GPU receives the pixels, a quarter of the bytes. A batch is one
 * run, and results stay in the library. The opener closes it.
 */
export class Images {
  readonly #session: Session
  readonly #shape: readonly number[]
  readonly #preprocesses: boolean
  /** The size of stderr after the last decoded batch. */
  #stderrBytes = stderrBytes()

  private constructor(session: Session, shape: readonly number[], preprocesses: boolean) {
    this.#session = session
    this.#shape = shape
    this.#preprocesses = preprocesses
  }

  /** Opens the conversion for images of shape [height, width, channels]. */
  static async open(
    backend: Backend,
    shape: readonly number[],
    preprocessing: Preprocessing,
  ): Promise<Images> {
    const preprocesses = backend.device === 'CPU'
    const graph = imageGraph(shape, preprocesses ? preprocessing : undefined)
    return new Images(await Session.open(backend, graph), shape, preprocesses)
  }

  /** The recipe's tensor that receives the converted images. */
  get input(): string {
    return this.#preprocesses ? RECIPE.images : RECIPE.pixels
  }

  /** Converts uint8 pixels [count, height, width, channels]. The result is valid while `use` runs. */
  withPixels<R>(pixels: Uint8Array, count: number, use: (images: Feed) => R): R {
    const feed = { values: pixels, shape: [count, ...this.#shape] }
    return this.#preprocesses ? withTensor(this.#run(PIXELS, feed), use) : use(feed)
  }

  /**
   * Converts JPEGs. Also passes the indices of JPEGs that cannot be decoded to the input's size; their rows are
   * meaningless.
   */
  withJpegs<R>(jpegs: readonly Uint8Array[], use: (images: Feed, undecoded: readonly number[]) => R): R {
    const whole = this.#decode(jpegs)
    const undecoded = whole ? [] : this.#undecodable(jpegs)
    // Replace undecodable JPEGs by a valid one; their rows are discarded.
    const valid = jpegs.find((_, index) => !undecoded.includes(index))
    const batch =
      whole ?? (valid && this.#decode(jpegs.map((jpeg, index) => (undecoded.includes(index) ? valid : jpeg))))
    if (batch !== undefined) return withTensor(batch, (images) => use(images, undecoded))
    const zeros = new Uint8Array(jpegs.length * sizeOf(this.#shape))
    return this.withPixels(zeros, jpegs.length, (images) => use(images, [...jpegs.keys()]))
  }

  /**
   * Returns undefined if a JPEG fails or causes a warning of libjpeg; the run does not report which one. Also returns
   * undefined if any other message was written to stderr since the last call. The caller then decodes each JPEG alone.
   */
  #decode(jpegs: readonly Uint8Array[]): TensorHandle | undefined {
    try {
      const handle = this.#run(JPEGS, { values: jpegs, shape: [jpegs.length] })
      const before = this.#stderrBytes
      this.#stderrBytes = stderrBytes()
      if (this.#stderrBytes === before) return handle
      handle.close()
      return undefined
    } catch {
      this.#stderrBytes = stderrBytes()
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
    const [handle] = this.#session.runToHandles({ [fed]: feed }, [fetched])
    if (handle === undefined) throw new TypeError(`the session returned no ${fetched}`)
    return handle
  }
}

/** Size of stderr if it is a file. libjpeg reports warnings only there. */
function stderrBytes(): number {
  return fstatSync(STDERR).size
}

function withTensor<R>(handle: TensorHandle, use: (images: TensorHandle) => R): R {
  try {
    return use(handle)
  } finally {
    handle.close()
  }
}

/** Writes the conversions: from pixels if there is preprocessing, and from JPEGs if images have three channels. */
function imageGraph(shape: readonly number[], preprocessing: Preprocessing | undefined): Uint8Array {
  const graph = new GraphWriter()
  const result = preprocessing === undefined ? DataType.uint8 : DataType.float
  const writeInput = (body: GraphWriter, pixels: string): string => {
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
    graph.unaryFunction('prepare', { argument: DataType.uint8, result }, writeInput)
    const pixels = graph.placeholder('pixels', DataType.uint8, [-1, ...shape])
    forEach(pixels, DataType.uint8, 'prepare', 'from_pixels')
  }
  if (shape.at(-1) === CHANNELS) {
    graph.unaryFunction('decode', { argument: DataType.string, result }, (body, jpeg) => {
      const decoded = body.node('DecodeJpeg', [jpeg], DECODING)
      // An image of another size fails here, before it could be reshaped.
      return writeInput(body, body.node('EnsureShape', [decoded], { T: UINT8, shape: { shape } }))
    })
    forEach(graph.placeholder('jpegs', DataType.string, [-1]), DataType.string, 'decode', 'from_jpegs')
  }
  return savedModelBytes({ graph, signatures: {} })
}
