import type { RandomLaw } from '../initializers/law.ts'
import type { DrawOps, DrawStream } from '../initializers/ops.ts'
import { DOUBLE, FLOAT, INT32, type GraphWriter } from './graph.ts'
import { DataType, type NodeDef } from './proto.ts'

const PHILOX = 1
/**
 * Weights are drawn on the CPU on every machine: a GPU's sine and logarithm differ in the last bits, its QR
 * decomposition in more.
 */
const DRAW_DEVICE = '/device:CPU:0'

const RANDOM_OPS = {
  uniform: 'StatelessRandomUniformV2',
  normal: 'StatelessRandomNormalV2',
  truncated_normal: 'StatelessTruncatedNormalV2',
} as const

/**
 * Initializers as graph nodes. The V2 stateless ops have key and counter as inputs, so the same nodes draw a whole
 * tensor or any slice of it. With equal key and counter they give the bytes of `tf.random.stateless_*`.
 */
export class GraphDrawOps implements DrawOps<string> {
  readonly #graph: GraphWriter
  /** The nodes of float64 values; all others are float32. */
  readonly #doubles = new Set<string>()
  #philox: string | undefined

  constructor(graph: GraphWriter) {
    this.#graph = graph
  }

  scalar(value: number): string {
    return this.#graph.number(value)
  }

  double(value: number): string {
    return this.#double(this.#graph.constant(Float64Array.of(value), [], DataType.double))
  }

  fill(shape: readonly number[], value: number): string {
    return this.#node('Fill', [this.#graph.integers(shape), this.scalar(value)], { T: FLOAT })
  }

  values(values: readonly number[]): string {
    return this.#graph.constant(Float32Array.from(values), [values.length], DataType.float)
  }

  stream(key: readonly number[], counter: readonly number[], count: number): DrawStream<string> {
    return {
      key: this.#graph.constant(Uint32Array.from(key), [1], DataType.uint64),
      counter: this.#graph.constant(Uint32Array.from(counter), [2], DataType.uint64),
      count: this.#graph.integers([count]),
    }
  }

  random(kind: RandomLaw['kind'], { count, key, counter }: DrawStream<string>): string {
    return this.#node(RANDOM_OPS[kind], [count, key, counter, this.#algorithm()], { dtype: FLOAT })
  }

  fineUniform({ count, key, counter }: DrawStream<string>): string {
    const inputs = [count, key, counter, this.#algorithm()]
    return this.#double(this.#node(RANDOM_OPS.uniform, inputs, { dtype: DOUBLE }))
  }

  widen(x: string): string {
    return this.#double(this.#node('Cast', [x], { SrcT: FLOAT, DstT: DOUBLE }))
  }

  narrow(x: string): string {
    return this.#node('Cast', [x], { SrcT: DOUBLE, DstT: FLOAT })
  }

  mul(a: string, b: string): string {
    return this.#floats('Mul', [a, b])
  }

  sum(a: string, b: string): string {
    return this.#floats('AddV2', [a, b])
  }

  difference(a: string, b: string): string {
    return this.#floats('Sub', [a, b])
  }

  round(x: string): string {
    return this.#floats('Round', [x])
  }

  clip(x: string, low: string, high: string): string {
    return this.#floats('Maximum', [this.#floats('Minimum', [x, high]), low])
  }

  normalQuantile(probability: string): string {
    return this.#floats('Ndtri', [probability])
  }

  /** 1 / sqrt(x). */
  rsqrt(x: string): string {
    return this.#floats('Rsqrt', [x])
  }

  negative(x: string): string {
    return this.#floats('Neg', [x])
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.#floats('Reshape', [x, this.#graph.integers(shape)])
  }

  slice(x: string, begin: readonly number[], size: readonly number[]): string {
    return this.#floats('Slice', [x, this.#graph.integers(begin), this.#graph.integers(size)], {
      Index: INT32,
    })
  }

  pad(x: string, widths: readonly (readonly [number, number])[], value?: string): string {
    const paddings = this.#graph.integers(widths.flat(), [widths.length, 2])
    return value === undefined
      ? this.#floats('Pad', [x, paddings])
      : this.#floats('PadV2', [x, paddings, value])
  }

  tile(x: string, times: readonly number[]): string {
    return this.#floats('Tile', [x, this.#graph.integers(times)])
  }

  broadcast(x: string, shape: readonly number[]): string {
    return this.#floats('BroadcastTo', [x, this.#graph.integers(shape)])
  }

  transpose(x: string): string {
    return this.#floats('Transpose', [x, this.#graph.integers([1, 0])])
  }

  matMul(a: string, b: string): string {
    return this.#floats('MatMul', [a, b])
  }

  qr(x: string): { q: string; r: string } {
    const q = this.#floats('Qr', [x])
    const r = `${q}:1`
    return { q, r: this.#doubles.has(q) ? this.#double(r) : r }
  }

  diagonal(x: string): string {
    return this.#floats('MatrixDiagPart', [x])
  }

  sign(x: string): string {
    return this.#floats('Sign', [x])
  }

  positive(x: string): string {
    return this.#floats('Relu', [this.sign(x)])
  }

  eye(rows: number, columns: number, value: number): string {
    // TensorFlow multiplies a unit matrix by the value.
    const zeros = this.fill([rows, columns], value * 0)
    const diagonal = this.fill([Math.min(rows, columns)], value)
    return this.#floats('MatrixSetDiag', [zeros, diagonal])
  }

  /**
   * The algorithm is read from a variable, because TensorFlow's optimizers evaluate all subgraphs of constants:
   * they would draw each weight two more times and discard it as too large for a constant.
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

  /** A node over values of one type: the type of its first input. */
  #floats(op: string, inputs: readonly string[], attributes: NodeDef['attributes'] = {}): string {
    if (!this.#doubles.has(inputs[0] ?? '')) return this.#node(op, inputs, { T: FLOAT, ...attributes })
    return this.#double(this.#node(op, inputs, { T: DOUBLE, ...attributes }))
  }

  #double(node: string): string {
    this.#doubles.add(node)
    return node
  }

  #node(op: string, inputs: readonly string[], attributes: NodeDef['attributes']): string {
    return this.#graph.node(op, inputs, attributes, { device: DRAW_DEVICE })
  }
}
