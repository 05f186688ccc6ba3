import { parseLayer, type ReadName } from './layer-names.ts'
import type { Parameter } from './shapes.ts'
import { readTorchRole, TORCH_ROLES } from './torch-roles.ts'

/** The attribute of `ResNetForImageClassification` that holds the base model. */
export const BASE_MODEL = 'resnet.'

const KINDS: Readonly<Record<string, string>> = { conv: 'convolution', norm: 'normalization' }
const KIND_NAMES = new Map(Object.entries(KINDS).map(([kind, name]) => [name, kind]))

/**
 * The name in a state_dict of transformers' `ResNetForImageClassification`
 * (`transformers/models/resnet/modeling_resnet.py`): `resnet.encoder.stages.0.layers.0.layer.1.convolution.weight`.
 */
export function transformersName(
  parameter: Parameter,
  role = TORCH_ROLES[parameter.role],
): string | undefined {
  const { layer, block } = parseLayer(parameter)
  if (role === undefined) return undefined
  if (layer === 'head/dense') return `classifier.1.${role}`
  const [, scope, kind = '', digit] = /^(stem\/|shortcut\/|)(conv|norm)(\d?)$/.exec(layer) ?? []
  const name = KINDS[kind]
  if (name === undefined) return undefined
  if (scope === 'stem/') return `${BASE_MODEL}embedder.embedder.${name}.${role}`
  if (block === undefined) return undefined
  const part = scope === 'shortcut/' ? 'shortcut' : `layer.${String(Number(digit) - 1)}`
  return `${BASE_MODEL}encoder.stages.${String(block.stage - 1)}.layers.${String(block.number - 1)}.${part}.${name}.${role}`
}

const STEM = String.raw`embedder\.embedder`
const BLOCK = String.raw`encoder\.stages\.(\d{1,3})\.layers\.(\d{1,3})\.(?:layer\.(\d)|shortcut)`
const NAME = new RegExp(
  String.raw`(?:^|[./])((?:${STEM}|${BLOCK})\.(convolution|normalization)\.([a-z_]+)|classifier\.1\.(weight|bias))$`,
)

/**
 * The inverse of `transformersName`, for names with any prefix. The tail of a name in the base model lacks `resnet.`,
 * which is so a part of the prefix.
 */
export const readTransformersName: ReadName = (name) => {
  const [, tail, stage, block, layer, named = '', word = '', dense] = NAME.exec(name) ?? []
  if (tail === undefined) return undefined
  if (dense !== undefined) return { tail, parameter: `head/dense/${dense === 'weight' ? 'kernel' : 'bias'}` }
  const kind = KIND_NAMES.get(named)
  const role = readTorchRole(word, kind === 'norm')
  if (kind === undefined || role === undefined) return undefined
  if (stage === undefined) return { tail, parameter: `stem/${kind}/${role}` }
  const within = layer === undefined ? `shortcut/${kind}` : `${kind}${String(Number(layer) + 1)}`
  return {
    tail,
    parameter: `stage${String(Number(stage) + 1)}/block${String(Number(block) + 1)}/${within}/${role}`,
  }
}
