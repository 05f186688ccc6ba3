import { Layers, resolvePadding } from './layers.ts'
import type { NetworkOps, Shape } from './ops.ts'
import { postActivationBlock, preActivationBlock } from './residual-block.ts'
import { schemeNamed } from './schemes.ts'
import type { Architecture, ShortcutRule, Specification } from './specification.ts'

type NetworkSpecification = Pick<Specification, 'architecture' | 'residual_scheme'>

export interface Forward<T> {
  readonly logits: T
  /** The input of the dense layer. */
  readonly features: T
}

/**
 * The residual network of He et al. (2015, arXiv:1512.03385; v2: 2016, arXiv:1603.05027): stem, stages, head.
 * `images` are preprocessed, [height, width, channels]. A residual scheme may add scalars, and may move the ReLU
 * after each sum to the end of the branch (`schemes.ts`).
 */
export function residualNetwork<T extends Shape>(
  ops: NetworkOps<T>,
  network: NetworkSpecification,
  images: T,
): Forward<T> {
  const features = residualFeatures(ops, network, images)
  return { features, logits: classify(ops, network, features) }
}

/** The network without the dense layer: features of preprocessed images. */
export function residualFeatures<T extends Shape>(
  ops: NetworkOps<T>,
  { architecture, residual_scheme }: NetworkSpecification,
  images: T,
): T {
  const { stages, head, version } = architecture
  const layers = new Layers(ops, architecture, schemeNamed(residual_scheme))
  const block = version === 'v2' ? preActivationBlock : postActivationBlock

  let x = applyStem(layers, images)
  stages.forEach((stage, s) => {
    const stridedBlock = architecture.strides_in === 'first' ? 0 : stage.blocks - 1
    for (let b = 0; b < stage.blocks; b++) {
      x = block(layers, `stage${String(s + 1)}/block${String(b + 1)}`, x, {
        filters: stage.filters,
        strides: b === stridedBlock ? stage.strides : 1,
        shortcut: selectShortcutRule(architecture.shortcut, s),
      })
    }
  })
  // A pre-activation block ends without an activation.
  if (version === 'v2') x = ops.relu('head/relu', layers.norm('head/norm', x))
  return head.pool === 'global_average'
    ? ops.globalAverage('head/pool', x)
    : ops.flatten('head/flatten', layers.pool('head/pool', x, head.pool))
}

/** The first convolution, with a norm and a ReLU unless the blocks begin with them, and a pool. */
function applyStem<T extends Shape>(layers: Layers<T>, images: T): T {
  const { ops, architecture } = layers
  const { kernel_size: size, strides, padding, filters, pool } = architecture.stem
  const window = { size, strides, padding: resolvePadding(padding, size) }
  let x = layers.convolution('stem', 'conv', images, { ...window, filters })
  // The first pre-activation block reads the stem twice: by its branch and by its shortcut.
  if (architecture.version === 'v2') x = ops.shared(x)
  else x = ops.relu('stem/relu', layers.shift('stem/shift', layers.norm('stem/norm', x)))
  return pool === null ? x : layers.pool('stem/pool', x, pool)
}

/** The logits of features: the dense layer. */
export function classify<T extends Shape>(
  ops: NetworkOps<T>,
  { architecture, residual_scheme }: NetworkSpecification,
  features: T,
): T {
  const layers = new Layers(ops, architecture, schemeNamed(residual_scheme))
  return layers.dense('head/dense', layers.shift('head/shift', features), architecture.head.units)
}

function selectShortcutRule(shortcut: Architecture['shortcut'], stage: number): ShortcutRule {
  return Array.isArray(shortcut) ? (shortcut[stage] ?? 'projection') : shortcut
}
