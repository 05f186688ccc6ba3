import type { ElementwiseLaw } from '../../initializers/law.ts'
import type { DrawOps, DrawStream } from '../../initializers/ops.ts'
import { FLOAT, INT32, type Attribute, type GraphWriter } from './graph.ts'
import { DataType } from './proto.ts'

const PHILOX = 1
/**
 * Weights are drawn on the CPU wherever the network runs: a GPU's sine and logarithm differ in the last bits, and its
 * QR in more than those.
 */
const DRAW_DEVICE = '/device:CPU:0'

const RANDOM_OPS = {
  uniform: 'StatelessRandomUniformV2',
  normal: 'StatelessRandomNormalV2',
  truncated_normal: 'StatelessTruncatedNormalV2',
} as const

/**
 * Initializers as graph nodes. The V2 stateless ops take key and counter themselves, so the same nodes draw a whole
 * tensor or any slice of it; with equal key and counter they give the bytes of `tf.random.stateless_*`.
 */
export class GraphDrawOps implements DrawOps<string> {
  readonly #graph: GraphWriter
  #philox: string | undefined

  constructor(graph: GraphWriter) {
    this.#graph = graph
  }

  scalar(value: number): string {
    return this.#graph.number(value)
  }

  fill(shape: readonly number[], value: number): string {
    return this.#node('Fill', [this.#graph.integers(shape), this.scalar(value)])
  }

  stream(key: readonly number[], counter: readonly number[], count: number): DrawStream<string> {
    return {
      key: this.#graph.constant(Uint32Array.from(key), [1], DataType.uint64),
      counter: this.#graph.constant(Uint32Array.from(counter), [2], DataType.uint64),
      count: this.#graph.integers([count]),
    }
  }

  random(kind: ElementwiseLaw['kind'], { count, key, counter }: DrawStream<string>): string {
    return this.#node(RANDOM_OPS[kind], [count, key, counter, this.#algorithm()], { dtype: FLOAT })
  }

  mul(a: string, b: string): string {
    return this.#node('Mul', [a, b])
  }

  sum(a: string, b: string): string {
    return this.#node('AddV2', [a, b])
  }

  /** 1 / sqrt(x). */
  rsqrt(x: string): string {
    return this.#node('Rsqrt', [x])
  }

  negative(x: string): string {
    return this.#node('Neg', [x])
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.#node('Reshape', [x, this.#graph.integers(shape)])
  }

  transpose(x: string): string {
    return this.#node('Transpose', [x, this.#graph.integers([1, 0])])
  }

  qr(x: string): { q: string; r: string } {
    const node = this.#node('Qr', [x])
    return { q: node, r: `${node}:1` }
  }

  diagonal(x: string): string {
    return this.#node('MatrixDiagPart', [x])
  }

  sign(x: string): string {
    return this.#node('Sign', [x])
  }

  eye(rows: number, columns: number, value: number): string {
    const zeros = this.fill([rows, columns], 0)
    const diagonal = this.fill([Math.min(rows, columns)], value)
    return this.#node('MatrixSetDiag', [zeros, diagonal])
  }

  /**
   * The algorithm comes out of a variable, because TensorFlow's optimizers evaluate whatever depends on constants only:
   * they would draw every weight two times more, merely to find it too large to keep as a constant.
   */
  #algorithm(): string {
    if (this.#philox === undefined) {
      const at = { device: DRAW_DEVICE }
      const attributes = {
        dtype: INT32,
        shape: { shape: [] },
        shared_name: { text: 'philox' },
      }
      const handle = this.#graph.node('VarHandleOp', [], attributes, { ...at, name: 'philox' })
      const value = this.#graph.integers([PHILOX], [])
      const assign = this.#graph.node('AssignVariableOp', [handle, value], { dtype: INT32 }, at)
      this.#philox = this.#graph.node('ReadVariableOp', [handle, `^${assign}`], { dtype: INT32 }, at)
    }
    return this.#philox
  }

  #node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = { T: FLOAT },
  ): string {
    return this.#graph.node(op, inputs, attributes, { device: DRAW_DEVICE })
  }
}
