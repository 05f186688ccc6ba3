import { sizeOf } from '../../initializers/fans.ts'
import { windowShape } from '../../network/geometry.ts'
import type { Moments, NetworkOps, Padding, Role, Window } from '../../network/ops.ts'
import { VARIABLE_SCOPE } from '../../network/parameters.ts'
import type { Parameter } from '../../network/shapes.ts'
import type { GraphDrawOps } from './draw-ops.ts'
import { FLOAT, INT32, type Attribute, type GraphWriter } from './graph.ts'

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

/** A variable as the session holds it: its read and, where values are fed, what feeds it. */
export interface Variable {
  readonly name: string
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

const NHWC: Attribute = { text: 'NHWC' }

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
    const { kernel, bias } = value
    const convolution = this.#convolve(value, this.#variable(kernel, this.#valueOf(kernel), [kernel]))
    return bias ? this.#bias(convolution, this.#variable(bias, this.#valueOf(bias), [bias])) : convolution
  }

  parameter(name: string, shape: readonly number[], role: Role): Value {
    return { kind: 'parameter', name, shape, role }
  }

  conv2d(name: string, x: Value, kernel: Value, window: Window): Value {
    const shape = windowShape(name, x.shape, window, kernel.shape.at(-1) ?? 1)
    return { kind: 'convolution', name, shape, x: this.node(x), kernel: asParameter(kernel), window }
  }

  matMul(_name: string, x: Value, kernel: Value): Value {
    const parameter = asParameter(kernel)
    const weights = this.#variable(parameter, this.#valueOf(parameter), [parameter])
    const transposed = { transpose_a: { flag: false }, transpose_b: { flag: false } }
    const node = this.#graph.node('MatMul', [this.node(x), weights], { T: FLOAT, ...transposed })
    return tensor(node, [...x.shape.slice(0, -1), kernel.shape.at(-1) ?? 1])
  }

  biasAdd(_name: string, x: Value, bias: Value): Value {
    const parameter = asParameter(bias)
    if (x.kind === 'convolution') return { ...x, bias: parameter }
    return tensor(
      this.#bias(this.node(x), this.#variable(parameter, this.#valueOf(parameter), [parameter])),
      x.shape,
    )
  }

  batchNorm(name: string, x: Value, moments: Moments<Value>, epsilon: number): Value {
    const [gamma, beta, mean, variance] = [moments.gamma, moments.beta, moments.mean, moments.variance].map(
      asParameter,
    )
    if (!gamma || !beta || !mean || !variance) throw new TypeError(`${name} lacks a moment`)
    const draws = this.#draws
    const inverse = draws.rsqrt(draws.sum(this.#valueOf(variance), draws.scalar(epsilon)))
    const scale = draws.mul(this.#valueOf(gamma), inverse)
    const shiftOf = (bias: string | undefined): string => {
      const center = this.#valueOf(mean)
      const offset = bias === undefined ? draws.negative(center) : draws.sum(bias, draws.negative(center))
      return draws.sum(this.#valueOf(beta), draws.mul(offset, scale))
    }
    const all = [gamma, beta, mean, variance]
    if (x.kind !== 'convolution') {
      const scaleRead = this.#variable({ name: `${name}/scale`, shape: gamma.shape }, scale, all)
      const shiftRead = this.#variable({ name: `${name}/shift`, shape: beta.shape }, shiftOf(undefined), all)
      const scaled = this.#graph.node('Mul', [this.node(x), scaleRead], { T: FLOAT })
      return tensor(this.#graph.node('AddV2', [scaled, shiftRead], { T: FLOAT }), x.shape)
    }
    const folded = draws.mul(this.#valueOf(x.kernel), scale)
    const kernel = this.#variable(x.kernel, folded, [x.kernel, gamma, variance])
    const shift = shiftOf(x.bias && this.#valueOf(x.bias))
    const biasName = x.bias?.name ?? `${x.name}/bias`
    const bias = this.#variable({ name: biasName, shape: beta.shape }, shift, [
      ...(x.bias ? [x.bias] : []),
      ...all,
    ])
    return tensor(this.#bias(this.#convolve(x, kernel), bias), x.shape)
  }

  relu(_name: string, x: Value): Value {
    return tensor(this.#graph.node('Relu', [this.node(x)], { T: FLOAT }), x.shape)
  }

  add(_name: string, branch: Value, shortcut: Value): Value {
    return tensor(
      this.#graph.node('AddV2', [this.node(branch), this.node(shortcut)], { T: FLOAT }),
      branch.shape,
    )
  }

  maxPool(name: string, x: Value, window: Window): Value {
    return this.#pool('MaxPool', name, x, window, { explicit_paddings: { integers: [] } })
  }

  averagePool(name: string, x: Value, window: Window): Value {
    return this.#pool('AvgPool', name, x, window, {})
  }

  globalAverage(_name: string, x: Value): Value {
    const axes = this.#graph.integers([1, 2])
    const node = this.#graph.node('Mean', [this.node(x), axes], {
      T: FLOAT,
      Tidx: INT32,
      keep_dims: { flag: false },
    })
    return tensor(node, x.shape.slice(-1))
  }

  flatten(_name: string, x: Value): Value {
    const size = sizeOf(x.shape)
    const shape = this.#graph.integers([-1, size])
    return tensor(this.#graph.node('Reshape', [this.node(x), shape], { T: FLOAT, Tshape: INT32 }), [size])
  }

  shared(x: Value): Value {
    return tensor(this.node(x), x.shape)
  }

  shape(x: Value): readonly number[] {
    return x.shape
  }

  #valueOf(parameter: Parameter): string {
    const known = this.#sources.get(parameter.name)
    if (known !== undefined) return known
    const node = this.#source(parameter)
    this.#sources.set(parameter.name, node)
    return node
  }

  #variable(
    { name, shape }: Pick<Parameter, 'name' | 'shape'>,
    value: string,
    parameters: readonly Parameter[],
  ): string {
    const graph = this.#graph
    const scoped = `${VARIABLE_SCOPE}/${name}`
    const handle = graph.node(
      'VarHandleOp',
      [],
      { dtype: FLOAT, shape: { shape }, shared_name: { text: scoped }, container: { text: '' } },
      { name: scoped },
    )
    const attributes = { dtype: FLOAT, validate_shape: { flag: false } }
    const assign = graph.node('AssignVariableOp', [handle, value], attributes, { name: `${scoped}/assign` })
    const done = graph.number(0)
    const assigned = graph.node(
      'Identity',
      [done, `^${assign}`],
      { T: FLOAT },
      { name: `${scoped}/assigned` },
    )
    const read = graph.node('ReadVariableOp', [handle], { dtype: FLOAT }, { name: `${scoped}/read` })
    this.variables.push({ name, shape, read, assign, assigned, parameters })
    return read
  }

  #convolve({ x, window }: PendingConvolution, kernel: string): string {
    const { padding, strides } = window
    return this.#graph.node('Conv2D', [x, kernel], {
      T: FLOAT,
      strides: { integers: [1, strides, strides, 1] },
      padding: { text: typeof padding === 'string' ? padding.toUpperCase() : 'EXPLICIT' },
      explicit_paddings: { integers: typeof padding === 'string' ? [] : paddingList(padding) },
      data_format: NHWC,
      dilations: { integers: [1, 1, 1, 1] },
      use_cudnn_on_gpu: { flag: true },
    })
  }

  #bias(x: string, bias: string): string {
    return this.#graph.node('BiasAdd', [x, bias], { T: FLOAT, data_format: NHWC })
  }

  #pool(
    op: string,
    name: string,
    x: Value,
    window: Window,
    more: Readonly<Record<string, Attribute>>,
  ): Value {
    const { size, strides, padding } = window
    let input = this.node(x)
    // Keras applications and torch pad with zeros before they pool; after a ReLU zeros change no maximum.
    if (typeof padding !== 'string') {
      const margins = this.#graph.constant(Int32Array.from(paddingList(padding)), [4, 2], INT32.type)
      input = this.#graph.node('Pad', [input, margins], { T: FLOAT, Tpaddings: INT32 })
    }
    const node = this.#graph.node(op, [input], {
      T: FLOAT,
      ksize: { integers: [1, size, size, 1] },
      strides: { integers: [1, strides, strides, 1] },
      padding: { text: typeof padding === 'string' ? padding.toUpperCase() : 'VALID' },
      data_format: NHWC,
      ...more,
    })
    return tensor(node, windowShape(name, x.shape, window, x.shape.at(-1) ?? 1))
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
