import { parseLayer } from './layer-names.ts'
import type { Role } from './ops.ts'
import type { Parameter } from './shapes.ts'
import type { Architecture } from './specification.ts'

const LAYERS: Readonly<Record<string, string>> = {
  'stem/conv': 'conv1',
  'stem/norm': 'bn1',
  'shortcut/conv': 'downsample.0',
  'shortcut/norm': 'downsample.1',
  'head/dense': 'fc',
}

const ROLES: Readonly<Partial<Record<Role, string>>> = {
  kernel: 'weight',
  bias: 'bias',
  gamma: 'weight',
  beta: 'bias',
  moving_mean: 'running_mean',
  moving_variance: 'running_var',
}

/** Returns why torchvision's ResNet (`torchvision/models/resnet.py`) has no such layers; undefined if it has. */
export function torchvisionProblem({ version, norm, use_bias, head }: Architecture): string | undefined {
  if (version === 'v2') return 'its blocks are v1 or v1.5; this network has v2'
  if (norm.type === 'none') return 'its convolutions have norms; this network has none'
  if (use_bias !== false) return 'its convolutions have no biases; this network has them'
  if (head.pool !== 'global_average')
    return 'its head is a global average; this network flattens a feature map'
  return undefined
}

/** The name in a state_dict of torchvision's or timm's ResNet: `layer1.0.downsample.0.weight`. */
export function torchvisionName(parameter: Parameter, role = ROLES[parameter.role]): string | undefined {
  const { layer, block } = parseLayer(parameter)
  const name = block && /^(conv|norm)\d$/.test(layer) ? layer.replace('norm', 'bn') : LAYERS[layer]
  if (name === undefined || role === undefined) return undefined
  return `${block ? `layer${String(block.stage)}.${String(block.number - 1)}.` : ''}${name}.${role}`
}

/** Axes of OIHW from HWIO, and of [out, in] from [in, out]. */
export function torchvisionAxes({ shape }: Parameter): number[] {
  if (shape.length === 4) return [3, 2, 0, 1]
  return shape.length === 2 ? [1, 0] : [0]
}
