import { sizeOf } from '../../initializers/fans.ts'
import { windowShape } from '../../network/geometry.ts'
import type { Moments, NetworkOps, Padding, Role, Window } from '../../network/ops.ts'
import { VARIABLE_SCOPE } from '../../network/parameters.ts'
import type { Parameter } from '../../network/shapes.ts'
import type { GraphDrawOps } from './draw-ops.ts'
import { FLOAT, type Attribute, type GraphWriter } from './graph.ts'

/** A tensor of the graph; a parameter, not yet in it; or a convolution that may still take a norm into its kernel. */
export type Value =
  | { readonly kind: 'tensor'; readonly node: string; readonly shape: readonly number[] }
  | ({ readonly kind: 'parameter' } & Parameter)
  | PendingConvolution

interface PendingConvolution {
  readonly kind: 'convolution'
  readonly name: string
  readonly shape: readonly number[]
  readonly x: string
  readonly kernel: Parameter
  readonly bias?: Parameter
  readonly window: Window
}

/** A variable of the graph: the nodes that read and assign it, and what its value is computed from. */
export interface Variable {
  readonly shape: readonly number[]
  readonly read: string
  readonly assign: string
  /** Fetching this runs the assignment. */
  readonly assigned: string
  /** The true parameters the variable's value is computed from. */
  readonly parameters: readonly Parameter[]
}

/** Where a parameter's values come from: nodes that draw it, or a placeholder. */
export type ParameterSource = (parameter: Parameter) => string

/**
 * Networks as graph nodes that read variables. Outside training a batch norm is a constant scale and shift, so one that
 * follows a convolution is folded into its kernel and bias where the variables are assigned: variables hold folded
 * kernels, and TensorFlow fuses convolution, bias, sum and ReLU into one step.
 */
export class GraphNetworkOps implements NetworkOps<Value> {
  readonly variables: Variable[] = []
  readonly #graph: GraphWriter
  readonly #draws: GraphDrawOps
  readonly #source: ParameterSource
  readonly #sources = new Map<string, string>()

  constructor(graph: GraphWriter, draws: GraphDrawOps, source: ParameterSource) {
    this.#graph = graph
    this.#draws = draws
    this.#source = source
  }

  /** The graph's node for a value, written now if it was still pending. */
  node(value: Value): string {
    if (value.kind === 'tensor') return value.node
    if (value.kind === 'parameter') throw new TypeError(`${value.name} is a parameter, not a result`)
    const convolution = this.#convolve(value, this.#plain(value.kernel))
    return value.bias ? this.#bias(convolution, this.#plain(value.bias)) : convolution
  }

  parameter(name: string, shape: readonly number[], role: Role): Value {
    return { kind: 'parameter', name, shape, role }
  }

  conv2d(name: string, x: Value, kernel: Value, window: Window): Value {
    const shape = windowShape(name, x.shape, window, kernel.shape.at(-1) ?? 1)
    return { kind: 'convolution', name, shape, x: this.node(x), kernel: asParameter(kernel), window }
  }

  matMul(_name: string, x: Value, kernel: Value): Value {
    const shape = [...x.shape.slice(0, -1), kernel.shape.at(-1) ?? 1]
    return this.#tensor('MatMul', [this.node(x), this.#plain(asParameter(kernel))], shape)
  }

  biasAdd(_name: string, x: Value, bias: Value): Value {
    const parameter = asParameter(bias)
    if (x.kind === 'convolution') return { ...x, bias: parameter }
    return tensor(this.#bias(this.node(x), this.#plain(parameter)), x.shape)
  }

  batchNorm(name: string, x: Value, moments: Moments<Value>, epsilon: number): Value {
    const gamma = asParameter(moments.gamma)
    const beta = asParameter(moments.beta)
    const mean = asParameter(moments.mean)
    const variance = asParameter(moments.variance)
    const draws = this.#draws
    const inverse = draws.rsqrt(draws.sum(this.#valueOf(variance), draws.scalar(epsilon)))
    const scale = draws.mul(this.#valueOf(gamma), inverse)
    const center = draws.negative(this.#valueOf(mean))
    const bias = x.kind === 'convolution' ? x.bias : undefined
    const offset = bias ? draws.sum(this.#valueOf(bias), center) : center
    const shift = draws.sum(this.#valueOf(beta), draws.mul(offset, scale))
    const shiftedBy = [...(bias ? [bias] : []), gamma, beta, mean, variance]
    if (x.kind !== 'convolution') {
      const scaleRead = this.#variable(`${name}/scale`, gamma.shape, scale, [gamma, variance])
      const shiftRead = this.#variable(`${name}/shift`, beta.shape, shift, shiftedBy)
      const scaled = this.#tensor('Mul', [this.node(x), scaleRead], x.shape)
      return this.#tensor('AddV2', [this.node(scaled), shiftRead], x.shape)
    }
    const { kernel } = x
    const folded = draws.mul(this.#valueOf(kernel), scale)
    const kernelRead = this.#variable(kernel.name, kernel.shape, folded, [kernel, gamma, variance])
    const biasRead = this.#variable(bias?.name ?? `${x.name}/bias`, beta.shape, shift, shiftedBy)
    return tensor(this.#bias(this.#convolve(x, kernelRead), biasRead), x.shape)
  }

  scale(_name: string, x: Value, factor: Value): Value {
    return this.#tensor('Mul', [this.node(x), this.#plain(asParameter(factor))], x.shape)
  }

  shift(_name: string, x: Value, offset: Value): Value {
    return this.#tensor('AddV2', [this.node(x), this.#plain(asParameter(offset))], x.shape)
  }

  relu(_name: string, x: Value): Value {
    return this.#tensor('Relu', [this.node(x)], x.shape)
  }

  add(_name: string, branch: Value, shortcut: Value): Value {
    return this.#tensor('AddV2', [this.node(branch), this.node(shortcut)], branch.shape)
  }

  maxPool(name: string, x: Value, window: Window): Value {
    return this.#pool('MaxPool', name, x, window)
  }

  averagePool(name: string, x: Value, window: Window): Value {
    return this.#pool('AvgPool', name, x, window)
  }

  globalAverage(_name: string, x: Value): Value {
    return this.#tensor('Mean', [this.node(x), this.#graph.integers([1, 2])], x.shape.slice(-1))
  }

  flatten(_name: string, x: Value): Value {
    const size = sizeOf(x.shape)
    return this.#tensor('Reshape', [this.node(x), this.#graph.integers([-1, size])], [size])
  }

  shared(x: Value): Value {
    return tensor(this.node(x), x.shape)
  }

  #valueOf(parameter: Parameter): string {
    const known = this.#sources.get(parameter.name)
    if (known !== undefined) return known
    const node = this.#source(parameter)
    this.#sources.set(parameter.name, node)
    return node
  }

  /** The read of a variable that holds the parameter as it is. */
  #plain(parameter: Parameter): string {
    return this.#variable(parameter.name, parameter.shape, this.#valueOf(parameter), [parameter])
  }

  #variable(name: string, shape: readonly number[], value: string, parameters: readonly Parameter[]): string {
    const graph = this.#graph
    const scoped = `${VARIABLE_SCOPE}/${name}`
    const dtype = { dtype: FLOAT }
    const attributes = { ...dtype, shape: { shape }, shared_name: { text: scoped } }
    const handle = graph.node('VarHandleOp', [], attributes, { name: scoped })
    const assign = graph.node('AssignVariableOp', [handle, value], dtype, { name: `${scoped}/assign` })
    const assigned = graph.floats('Identity', [graph.number(0), `^${assign}`], `${scoped}/assigned`)
    const read = graph.node('ReadVariableOp', [handle], dtype, { name: `${scoped}/read` })
    this.variables.push({ shape, read, assign, assigned, parameters })
    return read
  }

  #convolve({ x, window: { padding, strides } }: PendingConvolution, kernel: string): string {
    return this.#graph.node('Conv2D', [x, kernel], {
      T: FLOAT,
      strides: { integers: [1, strides, strides, 1] },
      ...(typeof padding === 'string'
        ? { padding: { text: padding.toUpperCase() } }
        : { padding: { text: 'EXPLICIT' }, explicit_paddings: { integers: paddingList(padding) } }),
    })
  }

  #bias(x: string, bias: string): string {
    return this.#graph.floats('BiasAdd', [x, bias])
  }

  #pool(op: string, name: string, x: Value, window: Window): Value {
    const { size, strides, padding } = window
    let input = this.node(x)
    // Keras applications and torch pad with zeros before they pool; after a ReLU zeros change no maximum.
    if (typeof padding !== 'string') {
      const margins = this.#graph.integers(paddingList(padding), [4, 2])
      input = this.#graph.floats('Pad', [input, margins])
    }
    return this.#tensor(op, [input], windowShape(name, x.shape, window, x.shape.at(-1) ?? 1), {
      ksize: { integers: [1, size, size, 1] },
      strides: { integers: [1, strides, strides, 1] },
      padding: { text: typeof padding === 'string' ? padding.toUpperCase() : 'VALID' },
    })
  }

  #tensor(
    op: string,
    inputs: readonly string[],
    shape: readonly number[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    return tensor(this.#graph.node(op, inputs, { T: FLOAT, ...attributes }), shape)
  }
}

/** [before, after] for batch, height, width, channels, flat. */
function paddingList(padding: Exclude<Padding, string>): number[] {
  const p = padding.symmetric
  return [0, 0, p, p, p, p, 0, 0]
}

function tensor(node: string, shape: readonly number[]): Value {
  return { kind: 'tensor', node, shape }
}

function asParameter(value: Value): Parameter {
  if (value.kind !== 'parameter') throw new TypeError('a parameter is expected here')
  return value
}
