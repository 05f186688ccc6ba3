import { resolvePadding, type Convolution, type Layers } from './layers.ts'
import type { Shape } from './ops.ts'
import type { Architecture, ShortcutRule } from './specification.ts'

/** The size and the shortcut rule of a block. */
export interface BlockOptions {
  readonly filters: number
  readonly strides: number
  readonly shortcut: ShortcutRule
}

/**
 * A post-activation block (He et al. 2015, arXiv:1512.03385): y = ReLU(F(x) + x), where F is convolution, norm, ReLU,
 * ..., convolution, norm. A projection shortcut is a 1x1 convolution and a norm of x.
 */
export function postActivationBlock<T extends Shape>(
  layers: Layers<T>,
  name: string,
  x: T,
  options: BlockOptions,
): T {
  const { ops, scheme } = layers
  const { convolutions, projection } = planBlock(layers.architecture, x, options)
  const last = convolutions.length
  const input = layers.shift(`${name}/shift1a`, x)
  let y = input
  for (const [index, convolution] of convolutions.entries()) {
    const n = index + 1
    if (n > 1) y = layers.shift(`${name}/shift${String(n)}a`, y)
    y = layers.convolution(name, `conv${String(n)}`, y, convolution)
    y = layers.norm(`${name}/norm${String(n)}`, y)
    if (n < last) y = ops.relu(`${name}/relu${String(n)}`, layers.shift(`${name}/shift${String(n)}b`, y))
  }
  if (scheme.reluInBranch) y = ops.relu(`${name}/relu${String(last)}`, y)
  y = layers.shift(`${name}/shift${String(last)}b`, layers.scale(`${name}/scale`, y))
  const shortcut = projection
    ? layers.norm(`${name}/shortcut/norm`, layers.convolution(`${name}/shortcut`, 'conv', input, projection))
    : identityShortcut(layers, name, x, options)
  const sum = ops.add(`${name}/add`, y, shortcut)
  return scheme.reluInBranch ? sum : ops.relu(`${name}/relu`, sum)
}

/**
 * A pre-activation block (He et al. 2016, arXiv:1603.05027): y = F(x) + x, where F is norm, ReLU, convolution, ...,
 * norm, ReLU, convolution. A projection shortcut is a 1x1 convolution of the first activation.
 */
export function preActivationBlock<T extends Shape>(
  layers: Layers<T>,
  name: string,
  x: T,
  options: BlockOptions,
): T {
  const { ops } = layers
  const { convolutions, projection } = planBlock(layers.architecture, x, options)
  const last = convolutions.length
  const activated = ops.relu(`${name}/relu1`, layers.norm(`${name}/norm1`, x))
  let y = activated
  for (const [index, convolution] of convolutions.entries()) {
    const n = index + 1
    if (n > 1) y = ops.relu(`${name}/relu${String(n)}`, layers.norm(`${name}/norm${String(n)}`, y))
    y = layers.convolution(name, `conv${String(n)}`, y, { ...convolution, normed: n < last })
  }
  y = layers.scale(`${name}/scale`, y)
  const shortcut = projection
    ? layers.convolution(`${name}/shortcut`, 'conv', activated, projection)
    : identityShortcut(layers, name, x, options)
  return ops.add(`${name}/add`, y, shortcut)
}

interface BlockPlan {
  /** Two convolutions (basic) or three (bottleneck), in order. */
  readonly convolutions: readonly Convolution[]
  /** The 1x1 convolution of the shortcut; undefined for an identity. */
  readonly projection: Convolution | undefined
}

function planBlock(
  architecture: Architecture,
  x: Shape,
  { filters, strides, shortcut }: BlockOptions,
): BlockPlan {
  const { version, block, kernel_size: kernel, padding, expansion } = architecture
  const width = block === 'bottleneck' ? filters * expansion : filters
  const convolution = (size: number, step: number, count: number): Convolution => ({
    size,
    strides: step,
    padding: resolvePadding(padding, size),
    filters: count,
  })
  const [first, middle] = version === 'v1' ? [strides, 1] : [1, strides]
  const convolutions =
    block === 'bottleneck'
      ? [convolution(1, first, filters), convolution(kernel, middle, filters), convolution(1, 1, width)]
      : [convolution(kernel, strides, filters), convolution(kernel, 1, width)]
  const changesChannels = x.shape.at(-1) !== width
  const projects =
    shortcut === 'always' ||
    (shortcut !== 'never' && changesChannels) ||
    (shortcut === 'projection' && strides !== 1)
  return { convolutions, projection: projects ? convolution(1, strides, width) : undefined }
}

/** The identity; with the rule `pool`, a 1x1 max pool where the block has strides. */
function identityShortcut<T extends Shape>(
  { ops }: Layers<T>,
  name: string,
  x: T,
  { strides, shortcut }: BlockOptions,
): T {
  if (shortcut !== 'pool' || strides === 1) return x
  return ops.maxPool(`${name}/shortcut/pool`, x, { size: 1, strides, padding: 'valid' })
}
