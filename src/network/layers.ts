import type { Moments, NetworkOps, Padding, Shape, Window } from './ops.ts'
import type { ResidualScheme } from './schemes.ts'
import type { Architecture, PoolWindow } from './specification.ts'

export interface Convolution extends Window {
  readonly filters: number
  /** True if only a norm reads the convolution. Where norms follow convolutions, this holds for all of them. */
  readonly normed?: boolean
}

/**
 * Layers with parameters. Each creates its parameters in the order of weights files. `scale` and `shift` are the
 * identity unless the residual scheme has such scalars.
 */
export class Layers<T extends Shape> {
  readonly ops: NetworkOps<T>
  readonly architecture: Architecture
  readonly scheme: Partial<ResidualScheme>

  constructor(ops: NetworkOps<T>, architecture: Architecture, scheme: Partial<ResidualScheme>) {
    this.ops = ops
    this.architecture = architecture
    this.scheme = scheme
  }

  convolution(scope: string, layer: string, x: T, { filters, normed = false, ...window }: Convolution): T {
    const name = `${scope}/${layer}`
    const channels = x.shape.at(-1) ?? 1
    const kernel = this.ops.parameter(
      `${name}/kernel`,
      [window.size, window.size, channels, filters],
      'kernel',
    )
    const y = this.ops.conv2d(name, x, kernel, window)
    const { use_bias: biases } = this.architecture
    if (biases === false || (biases === 'unnormed' && normed)) return y
    return this.ops.biasAdd(name, y, this.ops.parameter(`${name}/bias`, [filters], 'bias'))
  }

  /** The identity in architectures without norms. */
  norm(name: string, x: T): T {
    const { norm } = this.architecture
    if (norm.type === 'none') return x
    const shape = [x.shape.at(-1) ?? 1]
    const moments: Moments<T> = {
      gamma: this.ops.parameter(`${name}/gamma`, shape, 'gamma'),
      beta: this.ops.parameter(`${name}/beta`, shape, 'beta'),
      mean: this.ops.parameter(`${name}/moving_mean`, shape, 'moving_mean'),
      variance: this.ops.parameter(`${name}/moving_variance`, shape, 'moving_variance'),
    }
    return this.ops.batchNorm(name, x, moments, norm.epsilon)
  }

  /** The scalar multiplier at the end of a branch. */
  scale(name: string, x: T): T {
    if (this.scheme.multiplier === undefined) return x
    return this.ops.scale(name, x, this.ops.parameter(`${name}/multiplier`, [1], 'multiplier'))
  }

  /** Fixup's scalar summand before convolutions (a), activations (b) and the dense layer. */
  shift(name: string, x: T): T {
    if (!this.scheme.shifts) return x
    return this.ops.shift(name, x, this.ops.parameter(`${name}/offset`, [1], 'offset'))
  }

  pool(name: string, x: T, { type, size, strides, padding }: PoolWindow): T {
    const window = { size, strides, padding: resolvePadding(padding, size) }
    return type === 'max' ? this.ops.maxPool(name, x, window) : this.ops.averagePool(name, x, window)
  }

  dense(name: string, x: T, units: number): T {
    const kernel = this.ops.parameter(`${name}/kernel`, [x.shape.at(-1) ?? 1, units], 'kernel')
    return this.ops.biasAdd(
      name,
      this.ops.matMul(name, x, kernel),
      this.ops.parameter(`${name}/bias`, [units], 'bias'),
    )
  }
}

/** Symmetric padding of a window: as many zeros on each side, so that an odd window keeps the size. */
export function resolvePadding(padding: PoolWindow['padding'], size: number): Padding {
  return padding === 'symmetric' ? { symmetric: Math.floor((size - 1) / 2) } : padding
}
