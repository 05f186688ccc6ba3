import { ServiceError } from '../common/errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import { shapeText, windowShape } from './geometry.ts'
import type { Moments, NetworkOps, Role, Shape, Window } from './ops.ts'

export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
  readonly role: Role
}

export interface Layer {
  readonly name: string
  readonly op: string
  readonly outputShape: readonly number[]
  readonly parameters: Parameter[]
  readonly multiplyAdds: number
}

/** A shape, with the parameter if the tensor is one. */
export interface Shaped extends Shape {
  readonly parameter?: Parameter
}

/**
 * Executes a network on shapes alone: output shapes, parameters in creation order, multiply-adds of convolutions
 * and dense layers, and all shape errors. `shortcutField` is the name of the request's field for shortcuts, for
 * errors.
 */
export class ShapesExecutor implements NetworkOps<Shaped> {
  readonly layers: Layer[] = []
  readonly parameters: Parameter[] = []
  readonly #shortcutField: string

  constructor(shortcutField = 'shortcut') {
    this.#shortcutField = shortcutField
  }

  parameter(name: string, shape: readonly number[], role: Role): Shaped {
    const parameter = { name, shape, role }
    this.parameters.push(parameter)
    return { shape, parameter }
  }

  conv2d(name: string, x: Shaped, kernel: Shaped, window: Window): Shaped {
    const shape = windowShape(name, x.shape, window, kernel.shape.at(-1) ?? 1)
    const [height = 0, width = 0] = shape
    return this.#layer(name, 'conv2d', shape, [kernel], height * width * sizeOf(kernel.shape))
  }

  matMul(name: string, x: Shaped, kernel: Shaped): Shaped {
    const shape = [...x.shape.slice(0, -1), kernel.shape.at(-1) ?? 1]
    return this.#layer(name, 'dense', shape, [kernel], sizeOf(kernel.shape))
  }

  biasAdd(_name: string, x: Shaped, bias: Shaped): Shaped {
    if (bias.parameter) this.layers.at(-1)?.parameters.push(bias.parameter)
    return x
  }

  batchNorm(name: string, x: Shaped, { gamma, beta, mean, variance }: Moments<Shaped>): Shaped {
    return this.#layer(name, 'batch_norm', x.shape, [gamma, beta, mean, variance])
  }

  scale(name: string, x: Shaped, factor: Shaped): Shaped {
    return this.#layer(name, 'scale', x.shape, [factor])
  }

  shift(name: string, x: Shaped, offset: Shaped): Shaped {
    return this.#layer(name, 'shift', x.shape, [offset])
  }

  relu(name: string, x: Shaped): Shaped {
    return this.#layer(name, 'relu', x.shape)
  }

  add(name: string, branch: Shaped, shortcut: Shaped): Shaped {
    if (shapeText(branch.shape) === shapeText(shortcut.shape)) return this.#layer(name, 'add', branch.shape)
    const block = name.replace(/\/add$/, '')
    const cure =
      this.#shortcutField === 'projection_shortcut'
        ? '"projection_shortcut": "auto" (or true for this stage) puts a 1x1 convolution into the shortcut'
        : '"shortcut": "projection" (or "always" for this stage) puts a 1x1 convolution into it'
    const detail = `${block}: the branch gives ${shapeText(branch.shape)} and the shortcut ${shapeText(shortcut.shape)}, which have different shapes; ${cure}`
    throw new ServiceError('SHAPE_MISMATCH', detail, {
      errors: [{ pointer: `#/architecture/${this.#shortcutField}`, detail }],
    })
  }

  maxPool(name: string, x: Shaped, window: Window): Shaped {
    return this.#layer(name, 'max_pool', windowShape(name, x.shape, window, x.shape.at(-1) ?? 1))
  }

  averagePool(name: string, x: Shaped, window: Window): Shaped {
    return this.#layer(name, 'average_pool', windowShape(name, x.shape, window, x.shape.at(-1) ?? 1))
  }

  globalAverage(name: string, x: Shaped): Shaped {
    return this.#layer(name, 'global_average_pool', x.shape.slice(-1))
  }

  flatten(name: string, x: Shaped): Shaped {
    return this.#layer(name, 'flatten', [sizeOf(x.shape)])
  }

  shared(x: Shaped): Shaped {
    return x
  }

  #layer(
    name: string,
    op: string,
    outputShape: readonly number[],
    inputs: readonly Shaped[] = [],
    multiplyAdds = 0,
  ): Shaped {
    const parameters = inputs.flatMap(({ parameter }) => parameter ?? [])
    this.layers.push({ name, op, outputShape, parameters, multiplyAdds })
    return { shape: outputShape }
  }
}
