import { parseLayer, type ReadName } from './layer-names.ts'
import type { Parameter } from './shapes.ts'
import type { Architecture } from './specification.ts'
import { readTorchRole, TORCH_ROLES } from './torch-roles.ts'

const LAYERS: Readonly<Record<string, string>> = {
  'stem/conv': 'conv1',
  'stem/norm': 'bn1',
  'shortcut/conv': 'downsample.0',
  'shortcut/norm': 'downsample.1',
  'head/dense': 'fc',
}
const LAYER_NAMES = new Map(Object.entries(LAYERS).map(([layer, name]) => [name, layer]))

/**
 * Returns why the ResNets of torch (`torchvision/models/resnet.py`, transformers' `modeling_resnet.py`) have no such
 * layers; undefined if they have.
 */
export function torchProblem({ version, norm, use_bias, head }: Architecture): string | undefined {
  if (version === 'v2') return 'its blocks are v1 or v1.5; this network has v2'
  if (norm.type === 'none') return 'its convolutions have norms; this network has none'
  if (use_bias !== false) return 'its convolutions have no biases; this network has them'
  if (head.pool !== 'global_average')
    return 'its head is a global average; this network flattens a feature map'
  return undefined
}

/** The name in a state_dict of torchvision's or timm's ResNet: `layer1.0.downsample.0.weight`. */
export function torchvisionName(
  parameter: Parameter,
  role = TORCH_ROLES[parameter.role],
): string | undefined {
  const { layer, block } = parseLayer(parameter)
  const name = block && /^(conv|norm)\d$/.test(layer) ? layer.replace('norm', 'bn') : LAYERS[layer]
  if (name === undefined || role === undefined) return undefined
  return `${block ? `layer${String(block.stage)}.${String(block.number - 1)}.` : ''}${name}.${role}`
}

const NAME = /(?:^|[./])((?:layer(\d{1,3})\.(\d{1,3})\.)?(conv\d|bn\d|downsample\.[01]|fc)\.([a-z_]+))$/

/** The inverse of `torchvisionName`, for names with any prefix. */
export const readTorchvisionName: ReadName = (name) => {
  const [, tail, stage, block, part = '', word = ''] = NAME.exec(name) ?? []
  if (tail === undefined) return undefined
  const named = LAYER_NAMES.get(part)
  const inBlock = /^(conv|bn)\d$/.test(part) ? part.replace('bn', 'norm') : named
  const layer = stage === undefined ? named : inBlock
  const role = readTorchRole(word, /^bn|\.1$/.test(part))
  // A shortcut is part of a block, the stem and the head are not.
  if (layer === undefined || role === undefined) return undefined
  if (stage === undefined)
    return /^(stem|head)\//.test(layer) ? { tail, parameter: `${layer}/${role}` } : undefined
  if (layer.startsWith('head/')) return undefined
  return { tail, parameter: `stage${stage}/block${String(Number(block) + 1)}/${layer}/${role}` }
}
