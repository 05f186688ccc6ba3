import { sizeOf } from '../initializers/fans.ts'
import { windowShape } from '../network/geometry.ts'
import type { Moments, NetworkOps, Padding, Role, Window } from '../network/ops.ts'
import { VARIABLE_SCOPE } from '../network/parameters.ts'
import type { Parameter } from '../network/shapes.ts'
import type { VariableValue } from './norm-folding.ts'
import { FLOAT, type GraphWriter } from './graph.ts'
import { asParameter, tensor, type PendingConvolution, type Precision, type Value } from './graph-values.ts'
import type { NodeDef } from './proto.ts'

/** A variable of the graph, with the node that assigns it. */
export interface Variable {
  readonly name: string
  readonly shape: readonly number[]
  readonly type: Precision
  readonly handle: string
  readonly assign: string
  readonly read: string
  readonly value: VariableValue
  /** The float32 node of its value. */
  readonly source: string
}

export interface GraphNetworkOptions {
  /** Returns the float32 node of a variable's value: computed in the graph, or a placeholder. */
  readonly source: (value: VariableValue, variable: Pick<Variable, 'name' | 'shape'>) => string
  readonly precision: Precision
  /**
   * A node whose control edge prevents the fusion of the dense layer with its bias. If fused, oneDNN reorders the
   * kernel at the first prediction and keeps both: 0.7 s or more and 500 MB for 124 million weights.
   */
  readonly barrier?: string
  /**
   * Names of the residual sums whose magnitudes are computed. `rectified`: a ReLU is the only reader of each sum;
   * its output is measured instead.
   */
  readonly watched?: { readonly sums: readonly string[]; readonly rectified: boolean }
}

/**
 * Networks as graph nodes that read variables. At inference a batch normalization is a constant scale and shift.
 * Directly after a convolution it is folded into the values of kernel and bias: variables hold folded kernels, and
 * TensorFlow fuses convolution, bias, sum and ReLU into one step. Elsewhere it is a scale and a shift.
 *
 * With bfloat16, convolutions, their kernels and the elementwise operations after them use it. Averages and the
 * dense layer stay float32, because rounding to eight significant bits makes different logits equal.
 */
export class GraphNetworkOps implements NetworkOps<Value> {
  readonly variables: Variable[] = []
  /** The read node of each variable, by name. A graph that contains the network twice has each variable once. */
  readonly #reads = new Map<string, string>()
  readonly #graph: GraphWriter
  readonly #options: GraphNetworkOptions
  readonly #precision: Precision
  /** A watched sum before its ReLU. */
  #unrectified: Value | undefined
  #peaks: string[] = []

  constructor(graph: GraphWriter, options: GraphNetworkOptions) {
    this.#graph = graph
    this.#options = options
    this.#precision = options.precision
  }

  /** The node of a value. Writes a pending convolution. */
  node(value: Value): string {
    if (value.kind === 'tensor') return value.node
    if (value.kind === 'parameter') throw new TypeError(`${value.name} is a parameter, not a node`)
    const type = this.#precision
    const convolution = this.#convolve(value, this.#plain(value.kernel, type))
    return value.bias ? this.#bias(convolution, this.#plain(value.bias, type), type) : convolution
  }

  /** The node of a value, as float32. */
  float(value: Value): string {
    return this.#as(FLOAT, value)
  }

  parameter(name: string, shape: readonly number[], role: Role): Value {
    return { kind: 'parameter', name, shape, role }
  }

  conv2d(name: string, x: Value, kernel: Value, window: Window): Value {
    const shape = windowShape(name, x.shape, window, kernel.shape.at(-1) ?? 1)
    const input = this.#as(this.#precision, x)
    return { kind: 'convolution', name, shape, x: input, kernel: asParameter(kernel), window }
  }

  matMul(_name: string, x: Value, kernel: Value): Value {
    const shape = [...x.shape.slice(0, -1), kernel.shape.at(-1) ?? 1]
    return this.#tensor('MatMul', [this.float(x), this.#plain(asParameter(kernel), FLOAT)], shape, FLOAT)
  }

  biasAdd(_name: string, x: Value, bias: Value): Value {
    const parameter = asParameter(bias)
    if (x.kind === 'convolution') return { ...x, bias: parameter }
    const type = this.#typeOf(x)
    const inputs = [this.node(x), this.#plain(parameter, type)]
    const { barrier } = this.#options
    if (barrier !== undefined) inputs.push(`^${barrier}`)
    return tensor(this.#graph.node('BiasAdd', inputs, { T: type }), x.shape, type)
  }

  batchNorm(name: string, x: Value, moments: Moments<Value>, epsilon: number): Value {
    const gamma = asParameter(moments.gamma)
    const beta = asParameter(moments.beta)
    const mean = asParameter(moments.mean)
    const variance = asParameter(moments.variance)
    const norm = { gamma, beta, mean, variance, epsilon }
    if (x.kind !== 'convolution') {
      const type = this.#typeOf(x)
      const scale = this.#variable(`${name}/scale`, gamma.shape, { kind: 'scale', norm }, type)
      const shift = this.#variable(`${name}/shift`, beta.shape, { kind: 'shift', norm }, type)
      const scaled = this.#tensor('Mul', [this.node(x), scale], x.shape, type)
      return this.#tensor('AddV2', [this.node(scaled), shift], x.shape, type)
    }
    const { kernel, bias } = x
    const type = this.#precision
    const kernelRead = this.#variable(kernel.name, kernel.shape, { kind: 'kernel', kernel, norm }, type)
    const shift = { kind: 'shift', norm, bias } as const
    const biasRead = this.#variable(bias?.name ?? `${x.name}/bias`, beta.shape, shift, type)
    return tensor(this.#bias(this.#convolve(x, kernelRead), biasRead, type), x.shape, type)
  }

  scale(_name: string, x: Value, factor: Value): Value {
    return this.#withScalar('Mul', x, factor)
  }

  shift(_name: string, x: Value, offset: Value): Value {
    return this.#withScalar('AddV2', x, offset)
  }

  relu(_name: string, x: Value): Value {
    const rectified = this.#tensor('Relu', [this.node(x)], x.shape, this.#typeOf(x))
    if (x === this.#unrectified) this.#watch(rectified)
    return rectified
  }

  add(name: string, branch: Value, shortcut: Value): Value {
    const type = this.#typeOf(branch)
    const sum = this.#tensor('AddV2', [this.node(branch), this.#as(type, shortcut)], branch.shape, type)
    const { watched } = this.#options
    if (watched?.sums.includes(name) !== true) return sum
    if (watched.rectified) this.#unrectified = sum
    else this.#watch(this.#tensor('Abs', [this.node(sum)], sum.shape, type))
    return sum
  }

  /** Removes and returns the nodes of the watched magnitudes: the largest per image, float32 [n]. */
  takePeaks(): string[] {
    const peaks = this.#peaks
    this.#peaks = []
    return peaks
  }

  maxPool(name: string, x: Value, window: Window): Value {
    return this.#pool('MaxPool', name, x, window, this.#typeOf(x))
  }

  averagePool(name: string, x: Value, window: Window): Value {
    return this.#pool('AvgPool', name, x, window, FLOAT)
  }

  globalAverage(_name: string, x: Value): Value {
    return this.#tensor('Mean', [this.float(x), this.#graph.integers([1, 2])], x.shape.slice(-1), FLOAT)
  }

  flatten(_name: string, x: Value): Value {
    const size = sizeOf(x.shape)
    const type = this.#typeOf(x)
    return this.#tensor('Reshape', [this.node(x), this.#graph.integers([-1, size])], [size], type)
  }

  shared(x: Value): Value {
    return tensor(this.node(x), x.shape, this.#typeOf(x))
  }

  #watch(x: Value): void {
    const largest = this.#tensor('Max', [this.node(x), this.#graph.integers([1, 2, 3])], [], this.#typeOf(x))
    this.#peaks.push(this.float(largest))
    this.#unrectified = undefined
  }

  /**
   * Computed in float32 and rounded once: a scalar of eight bits would distort a whole branch as much as the error
   * of one weight.
   */
  #withScalar(op: string, x: Value, scalar: Value): Value {
    const inputs = [this.float(x), this.#plain(asParameter(scalar), FLOAT)]
    const type = this.#typeOf(x)
    return tensor(this.#as(type, this.#tensor(op, inputs, x.shape, FLOAT)), x.shape, type)
  }

  #typeOf(value: Value): Precision {
    return value.kind === 'tensor' ? value.type : this.#precision
  }

  #as(type: Precision, value: Value): string {
    const node = this.node(value)
    const from = this.#typeOf(value)
    return from === type ? node : this.#graph.cast(node, from, type)
  }

  /** Reads a variable that holds the unfolded parameter. */
  #plain(parameter: Parameter, type: Precision): string {
    return this.#variable(parameter.name, parameter.shape, { kind: 'parameter', parameter }, type)
  }

  #variable(name: string, shape: readonly number[], value: VariableValue, type: Precision): string {
    const known = this.#reads.get(name)
    if (known !== undefined) return known
    const graph = this.#graph
    const scoped = `${VARIABLE_SCOPE}/${name}`
    const source = this.#options.source(value, { name: scoped, shape })
    const dtype = { dtype: type }
    const attributes = { ...dtype, shape: { shape }, shared_name: { text: scoped } }
    const handle = graph.node('VarHandleOp', [], attributes, { name: scoped })
    const converted = type === FLOAT ? source : graph.cast(source, FLOAT, type)
    const assign = graph.node('AssignVariableOp', [handle, converted], dtype, { name: `${scoped}/assign` })
    const read = graph.node('ReadVariableOp', [handle], dtype, { name: `${scoped}/read` })
    this.variables.push({ name: scoped, shape, type, handle, assign, read, value, source })
    this.#reads.set(name, read)
    return read
  }

  #convolve({ x, window: { padding, strides } }: PendingConvolution, kernel: string): string {
    return this.#graph.node('Conv2D', [x, kernel], {
      T: this.#precision,
      strides: { integers: [1, strides, strides, 1] },
      ...(typeof padding === 'string'
        ? { padding: { text: padding.toUpperCase() } }
        : { padding: { text: 'EXPLICIT' }, explicit_paddings: { integers: paddingList(padding) } }),
    })
  }

  #bias(x: string, bias: string, type: Precision): string {
    return this.#graph.node('BiasAdd', [x, bias], { T: type })
  }

  #pool(op: string, name: string, x: Value, window: Window, type: Precision): Value {
    const { size, strides, padding } = window
    let input = this.#as(type, x)
    // Keras applications and torch pad with zeros before pooling. After a ReLU zeros do not change a maximum.
    if (typeof padding !== 'string') {
      const margins = this.#graph.integers(paddingList(padding), [4, 2])
      input = this.#graph.node('Pad', [input, margins], { T: type })
    }
    return this.#tensor(op, [input], windowShape(name, x.shape, window, x.shape.at(-1) ?? 1), type, {
      ksize: { integers: [1, size, size, 1] },
      strides: { integers: [1, strides, strides, 1] },
      padding: { text: typeof padding === 'string' ? padding.toUpperCase() : 'VALID' },
    })
  }

  #tensor(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    type: Precision,
    attributes: NodeDef['attributes'] = {},
  ): Value {
    return tensor(this.#graph.node(op, inputs, { T: type, ...attributes }), shape, type)
  }
}

/** Padding [before, after] of batch, height, width and channels, flat. */
function paddingList(padding: Exclude<Padding, string>): number[] {
  const p = padding.symmetric
  return [0, 0, p, p, p, p, 0, 0]
}
