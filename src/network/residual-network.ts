import type { Moments, NetworkOps, Padding, Shape, Window } from './ops.ts'
import { schemeNamed, type ResidualScheme } from './schemes.ts'
import type { Architecture, PoolWindow, ShortcutRule, Specification } from './specification.ts'

type NetworkSpecification = Pick<Specification, 'architecture' | 'residual_scheme'>

export interface Forward<T> {
  readonly logits: T
  /** The input of the dense layer. */
  readonly features: T
}

/**
 * The residual network of He et al. (2015, arXiv:1512.03385; v2: 2016, arXiv:1603.05027), in reading order:
 * stem, stages, head. `images` are preprocessed, [height, width, channels]. A residual scheme may add scalars
 * and move the last ReLU of the branches (`schemes.ts`).
 */
export function residualNetwork<T extends Shape>(
  ops: NetworkOps<T>,
  network: NetworkSpecification,
  images: T,
): Forward<T> {
  const features = residualFeatures(ops, network, images)
  return { features, logits: classified(ops, network, features) }
}

/** The network without the dense layer: features of preprocessed images. */
export function residualFeatures<T extends Shape>(
  ops: NetworkOps<T>,
  { architecture, residual_scheme }: NetworkSpecification,
  images: T,
): T {
  const { stem, stages, head } = architecture
  const scheme = schemeNamed(residual_scheme)
  const layers = new Layers(ops, architecture, scheme)
  const preActivation = architecture.version === 'v2'

  let x = layers.convolution('stem', 'conv', images, {
    size: stem.kernel_size,
    strides: stem.strides,
    padding: paddingOf(stem.padding, stem.kernel_size),
    filters: stem.filters,
  })
  // If the first block has no norm of its own, its norm and its shortcut both read the stem.
  if (preActivation) x = ops.shared(x)
  else x = ops.relu('stem/relu', layers.shift('stem/shift', layers.norm('stem/norm', x)))
  if (stem.pool !== null) x = pool(ops, 'stem/pool', x, stem.pool)

  stages.forEach((stage, s) => {
    const stepping = architecture.strides_in === 'first' ? 0 : stage.blocks - 1
    for (let b = 0; b < stage.blocks; b++) {
      const name = `stage${String(s + 1)}/block${String(b + 1)}`
      const sum = residualBlock(layers, name, x, {
        filters: stage.filters,
        strides: b === stepping ? stage.strides : 1,
        shortcut: shortcutRule(architecture.shortcut, s),
      })
      x = preActivation || scheme.reluInBranch ? sum : ops.relu(`${name}/relu`, sum)
    }
  })

  if (preActivation) x = ops.relu('head/relu', layers.norm('head/norm', x))
  return head.pool === 'global_average'
    ? ops.globalAverage('head/pool', x)
    : ops.flatten('head/flatten', pool(ops, 'head/pool', x, head.pool))
}

/** The logits of features: the dense layer. */
export function classified<T extends Shape>(
  ops: NetworkOps<T>,
  { architecture, residual_scheme }: NetworkSpecification,
  features: T,
): T {
  const layers = new Layers(ops, architecture, schemeNamed(residual_scheme))
  return layers.dense('head/dense', layers.shift('head/shift', features), architecture.head.units)
}

interface BlockOptions {
  readonly filters: number
  readonly strides: number
  readonly shortcut: ShortcutRule
}

/** One residual block: a branch of two (basic) or three (bottleneck) convolutions, plus the shortcut. */
function residualBlock<T extends Shape>(
  layers: Layers<T>,
  name: string,
  x: T,
  { filters, strides, shortcut }: BlockOptions,
): T {
  const { ops, architecture, scheme } = layers
  const { version, block, kernel_size: kernel, padding } = architecture
  const bottleneck = block === 'bottleneck'
  const width = bottleneck ? filters * architecture.expansion : filters
  const window = (size: number, step: number, count: number): Convolution => ({
    size,
    strides: step,
    padding: paddingOf(padding, size),
    filters: count,
  })
  const branch = bottleneck
    ? [
        window(1, version === 'v1' ? strides : 1, filters),
        window(kernel, version === 'v1' ? 1 : strides, filters),
        window(1, 1, width),
      ]
    : [window(kernel, strides, filters), window(kernel, 1, width)]
  const resized = strides !== 1
  const project =
    shortcut === 'always' ||
    (shortcut !== 'never' && x.shape.at(-1) !== width) ||
    (shortcut === 'projection' && resized)
  const identity = (): T =>
    shortcut === 'pool' && resized
      ? ops.maxPool(`${name}/shortcut/pool`, x, { size: 1, strides, padding: 'valid' })
      : x

  if (version === 'v2') {
    const start = ops.relu(`${name}/relu1`, layers.norm(`${name}/norm1`, x))
    const convolved = branch.reduce((y, convolution, index) => {
      const n = String(index + 1)
      const active = index === 0 ? y : ops.relu(`${name}/relu${n}`, layers.norm(`${name}/norm${n}`, y))
      const normed = index < branch.length - 1
      return layers.convolution(name, `conv${n}`, active, { ...convolution, normed })
    }, start)
    const end = layers.scale(`${name}/scale`, convolved)
    const side = project
      ? layers.convolution(`${name}/shortcut`, 'conv', start, window(1, strides, width))
      : identity()
    return ops.add(`${name}/add`, end, side)
  }

  const start = layers.shift(`${name}/shift1a`, x)
  const convolved = branch.reduce((y, convolution, index) => {
    const n = String(index + 1)
    const shifted = index === 0 ? y : layers.shift(`${name}/shift${n}a`, y)
    const normed = layers.norm(`${name}/norm${n}`, layers.convolution(name, `conv${n}`, shifted, convolution))
    if (index < branch.length - 1)
      return ops.relu(`${name}/relu${n}`, layers.shift(`${name}/shift${n}b`, normed))
    return scheme.reluInBranch ? ops.relu(`${name}/relu${n}`, normed) : normed
  }, start)
  const scaled = layers.scale(`${name}/scale`, convolved)
  const end = layers.shift(`${name}/shift${String(branch.length)}b`, scaled)
  const side = project
    ? layers.norm(
        `${name}/shortcut/norm`,
        layers.convolution(`${name}/shortcut`, 'conv', start, window(1, strides, width)),
      )
    : identity()
  return ops.add(`${name}/add`, end, side)
}

interface Convolution extends Window {
  readonly filters: number
  /**
   * True if only a norm reads the convolution. Where norms follow convolutions, this holds for all of them.
   */
  readonly normed?: boolean
}

/**
 * Layers with parameters, in creation order: convolution, norm, dense, and a scheme's scalars. A scalar's
 * function is the identity unless the scheme uses that scalar.
 */
class Layers<T extends Shape> {
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

  /** The scalar at the end of a branch. */
  scale(name: string, x: T): T {
    if (this.scheme.multiplier === undefined) return x
    return this.ops.scale(name, x, this.ops.parameter(`${name}/multiplier`, [1], 'multiplier'))
  }

  /** Fixup's scalar before convolutions (a), activations (b) and the dense layer. */
  shift(name: string, x: T): T {
    if (!this.scheme.shifts) return x
    return this.ops.shift(name, x, this.ops.parameter(`${name}/offset`, [1], 'offset'))
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

function pool<T extends Shape>(
  ops: NetworkOps<T>,
  name: string,
  x: T,
  { type, size, strides, padding }: PoolWindow,
): T {
  const window = { size, strides, padding: paddingOf(padding, size) }
  return type === 'max' ? ops.maxPool(name, x, window) : ops.averagePool(name, x, window)
}

function paddingOf(padding: 'same' | 'valid' | 'symmetric', size: number): Padding {
  return padding === 'symmetric' ? { symmetric: Math.floor((size - 1) / 2) } : padding
}

function shortcutRule(shortcut: Architecture['shortcut'], stage: number): ShortcutRule {
  return Array.isArray(shortcut) ? (shortcut[stage] ?? 'projection') : shortcut
}
