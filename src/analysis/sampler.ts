import { Session } from '../engine/tensorflow/session.ts'
import type { Backend } from '../engine/tensorflow/binding.ts'
import { GraphDrawOps } from '../engine/tensorflow/draw-ops.ts'
import { FLOAT, GraphWriter, type Attribute } from '../engine/tensorflow/graph.ts'
import { DataType } from '../engine/tensorflow/proto.ts'
import { savedModelBytes } from '../engine/tensorflow/saved-model.ts'
import { draw, drawElementwise } from '../initializers/draw.ts'
import { affineOf, isElementwise, type ElementwiseLaw, type Law } from '../initializers/law.ts'
import { advance } from '../initializers/philox.ts'
import { streamOf, type SeedVector } from '../initializers/seeds.ts'
import { sizeOf } from '../initializers/fans.ts'

/** Values drawn at once: 16 MB of float32. */
export const SLICE = 2 ** 22

const KINDS = ['uniform', 'normal', 'truncated_normal'] as const
const PHILOX_GROUP = 4
/** A truncated normal's group of four has this many counters to itself, for its redraws. */
const TRUNCATED_STRIDE = 256

/**
 * Draws tensors, whole or in slices, with the same nodes a recipe's init op uses. Independent entries come from one
 * small graph that takes the stream as a feed; what has to be drawn whole (orthogonal) gets a graph of its own.
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

  /** Slices of at most SLICE values, in order; a law that cannot be sliced comes whole. */
  async *slices(law: Law, shape: readonly number[], seed: SeedVector): AsyncGenerator<Float32Array> {
    const size = sizeOf(shape)
    const step = isElementwise(law) || law.kind === 'constant' ? SLICE : size
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
    if (isElementwise(law)) return this.#stream(law, seed, offset, count)
    const whole = await this.#whole(law, shape, seed)
    return whole.subarray(offset, offset + count)
  }

  #stream(law: ElementwiseLaw, seed: SeedVector, offset: number, count: number): Float32Array {
    const { key, counter } = streamOf(seed)
    const groups = Math.floor(offset / PHILOX_GROUP)
    const start = advance(counter, law.kind === 'truncated_normal' ? groups * TRUNCATED_STRIDE : groups)
    const { scale, offset: summand } = affineOf(law)
    const words = (values: readonly number[]): Int32Array => Int32Array.from(Uint32Array.from(values))
    const [values] = this.#session.run(
      {
        'key:0': { values: words(key), shape: [1, 2] },
        'counter:0': { values: words(start), shape: [2, 2] },
        'count:0': { values: Int32Array.of(count), shape: [1] },
        'scale:0': { values: Float32Array.of(scale), shape: [] },
        'offset:0': { values: Float32Array.of(summand), shape: [] },
      },
      [`${law.kind}:0`],
    )
    return values as Float32Array
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

function streamGraph(): Uint8Array {
  const graph = new GraphWriter()
  const ops = new GraphDrawOps(graph)
  const int32: Attribute = { type: DataType.int32 }
  // Sessions are fed int32 pairs, since the binding carries no uint64.
  const uint64 = (name: string, count: number): string =>
    graph.node('Bitcast', [graph.placeholder(name, DataType.int32, [count, 2])], {
      T: int32,
      type: { type: DataType.uint64 },
    })
  const stream = {
    key: uint64('key', 1),
    counter: uint64('counter', 2),
    count: graph.placeholder('count', DataType.int32, [1]),
  }
  const scale = graph.placeholder('scale', DataType.float, [])
  const offset = graph.placeholder('offset', DataType.float, [])
  for (const kind of KINDS) {
    graph.node('Identity', [drawElementwise(ops, kind, stream, scale, offset)], { T: FLOAT }, { name: kind })
  }
  return savedModelBytes({ graph, signatures: {} })
}
