import { Session, type Feed, type TensorHandle } from './session.ts'
import type { Backend } from './binding.ts'
import { GraphDrawOps } from './draw-ops.ts'
import { GraphWriter, INT32 } from './graph.ts'
import { DataType } from './proto.ts'
import { savedModelBytes } from './saved-model.ts'
import {
  BOUNDED_NUMBERS,
  boundedNumbers,
  draw,
  drawBounded,
  drawElementwise,
  type BoundedNumbers,
} from '../initializers/draw.ts'
import { affineOf, isElementwise, valueAt, type ElementwiseLaw, type Law } from '../initializers/law.ts'
import { advance } from '../initializers/philox.ts'
import { deriveStream, type SeedVector } from '../initializers/seeds.ts'
import { sizeOf } from '../initializers/fans.ts'

/** Values per slice: 16 MB of float32. */
export const SLICE = 2 ** 22

const KINDS = ['uniform', 'normal', 'truncated_normal'] as const
/**
 * Counters per value. One counter gives four values, or two of float64; four values of a truncated normal take 256
 * counters, for redraws.
 */
const COUNTERS = { uniform: 1 / 4, normal: 1 / 4, truncated_normal: 256 / 4, bounded_normal: 1 / 2 } as const

/**
 * Draws tensors, whole or in slices, with the nodes of an exported model's init op. Laws with independent entries
 * share one small graph, which is fed the stream. Laws that must be drawn as a whole (orthogonal) get their own
 * graph.
 */
export class Sampler {
  readonly #backend: Backend
  readonly #session: Session

  private constructor(backend: Backend, session: Session) {
    this.#backend = backend
    this.#session = session
  }

  static async open(backend: Backend): Promise<Sampler> {
    return new Sampler(backend, await Session.open(backend, streamGraph()))
  }

  /** Yields slices of at most SLICE values, in order. A law that cannot be sliced yields one. */
  async *slices(law: Law, shape: readonly number[], seed: SeedVector): AsyncGenerator<Float32Array> {
    const size = sizeOf(shape)
    const step = isDivisible(law) ? SLICE : size
    for (let offset = 0; offset < size; offset += step) {
      yield await this.read(law, shape, seed, offset, Math.min(step, size - offset))
    }
  }

  async read(
    law: Law,
    shape: readonly number[],
    seed: SeedVector,
    offset: number,
    count: number,
  ): Promise<Float32Array> {
    if (law.kind === 'constant') return new Float32Array(count).fill(law.value)
    if (law.kind === 'values') {
      const at = valueAt(law, shape)
      return Float32Array.from({ length: count }, (_, index) => at(offset + index))
    }
    if (isElementwise(law)) return this.#stream(law, seed, offset, count)
    const whole = await this.#whole(law, shape, seed)
    return whole.subarray(offset, offset + count)
  }

  /** Draws a whole tensor that stays in the library. The caller closes it. */
  hold(law: ElementwiseLaw, shape: readonly number[], seed: SeedVector): TensorHandle {
    const feeds = streamFeeds(law, seed, { offset: 0, shape })
    const [values] = this.#session.runToHandles(feeds, [`${law.kind}:0`])
    if (values === undefined) throw new TypeError(`the session returned no ${law.kind}`)
    return values
  }

  #stream(law: ElementwiseLaw, seed: SeedVector, offset: number, count: number): Float32Array {
    const feeds = streamFeeds(law, seed, { offset, shape: [count] })
    return this.#session.run(feeds, [`${law.kind}:0`])[0] as Float32Array
  }

  async #whole(law: Law, shape: readonly number[], seed: SeedVector): Promise<Float32Array> {
    const graph = new GraphWriter()
    const drawn = draw(new GraphDrawOps(graph), law, shape, seed)
    const bytes = savedModelBytes({ graph, signatures: {} })
    const session = await Session.open(this.#backend, bytes)
    try {
      const [values] = session.run({}, [`${drawn}:0`])
      return values as Float32Array
    } finally {
      session.close()
    }
  }
}

/** True if the cost of a part is proportional to its size. Parts of other laws are cut from the whole. */
export function isDivisible(law: Law): boolean {
  return isElementwise(law) || law.kind === 'constant' || law.kind === 'values'
}

/** A part of a stream: its start, and the shape of its values. */
interface Part {
  readonly offset: number
  readonly shape: readonly number[]
}

function streamFeeds(law: ElementwiseLaw, seed: SeedVector, { offset, shape }: Part): Record<string, Feed> {
  const { key, counter } = deriveStream(seed)
  const start = advance(counter, offset * COUNTERS[law.kind])
  const words = (values: readonly number[]): Int32Array => Int32Array.from(Uint32Array.from(values))
  return {
    'key:0': { values: words(key), shape: [1, 2] },
    'counter:0': { values: words(start), shape: [2, 2] },
    'shape:0': { values: Int32Array.from(shape), shape: [shape.length] },
    ...lawFeeds(law),
  }
}

/**
 * The numbers of a law as feeds. A float64 is fed as two int32, because the binding supports neither float64 nor
 * uint64.
 */
function lawFeeds(law: ElementwiseLaw): Record<string, Feed> {
  if (law.kind === 'bounded_normal') {
    const numbers = boundedNumbers(law)
    return Object.fromEntries(
      BOUNDED_NUMBERS.map((name) => {
        const values = new Int32Array(Float64Array.of(numbers[name]).buffer)
        return [`double/${name}:0`, { values, shape: [2] }]
      }),
    )
  }
  const { scale, offset } = affineOf(law)
  return {
    'scale:0': { values: Float32Array.of(scale), shape: [] },
    'offset:0': { values: Float32Array.of(offset), shape: [] },
  }
}

function streamGraph(): Uint8Array {
  const graph = new GraphWriter()
  const ops = new GraphDrawOps(graph)
  // int32 pairs, for the same reason.
  const pairs = (name: string, shape: readonly number[], type: number): string =>
    graph.node('Bitcast', [graph.placeholder(name, DataType.int32, [...shape, 2])], {
      T: INT32,
      type: { type },
    })
  const stream = {
    key: pairs('key', [1], DataType.uint64),
    counter: pairs('counter', [2], DataType.uint64),
    // A vector of any length: the shape of the values.
    count: graph.placeholder('shape', DataType.int32, [-1]),
  }
  const scale = graph.placeholder('scale', DataType.float, [])
  const offset = graph.placeholder('offset', DataType.float, [])
  for (const kind of KINDS) {
    graph.floats('Identity', [drawElementwise(ops, kind, stream, scale, offset)], kind)
  }
  const numbers = BOUNDED_NUMBERS.map((name) => [name, pairs(`double/${name}`, [], DataType.double)])
  const bounded = drawBounded(ops, stream, Object.fromEntries(numbers) as BoundedNumbers<string>)
  graph.floats('Identity', [bounded], 'bounded_normal' satisfies ElementwiseLaw['kind'])
  return savedModelBytes({ graph, signatures: {} })
}
