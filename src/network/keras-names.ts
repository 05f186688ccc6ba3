import { layersWithShortcutsBefore, parseLayer } from './layer-names.ts'
import type { Parameter } from './shapes.ts'
import type { Architecture } from './specification.ts'

const LAYERS: Readonly<Record<string, string>> = {
  'stem/conv': 'conv1_conv',
  'stem/norm': 'conv1_bn',
  'shortcut/conv': '0_conv',
  'shortcut/norm': '0_bn',
  'head/norm': 'post_bn',
  'head/dense': 'predictions',
}

/** The `variable.path` of keras.applications: `conv2_block1_1_conv/kernel`. Stages count from 2. */
export function kerasName(parameter: Parameter, { version }: Architecture): string | undefined {
  const { layer, block } = parseLayer(parameter)
  const [, kind, digit] = /^(conv|norm)(\d)$/.exec(layer) ?? []
  const name = block && kind !== undefined ? branchLayer(kind, Number(digit), version) : LAYERS[layer]
  if (name === undefined) return undefined
  const prefix = block ? `conv${String(block.stage + 1)}_block${String(block.number)}_` : ''
  return `${prefix}${name}/${parameter.role}`
}

/** In Keras a norm has the number of the convolution before it, also in pre-activation blocks. */
function branchLayer(kind: string, number: number, version: Architecture['version']): string {
  if (kind === 'conv') return `${String(number)}_conv`
  const followed = version === 'v2' ? number - 1 : number
  return followed === 0 ? 'preact_bn' : `${String(followed)}_bn`
}

/**
 * Sorts parameters in the order of `model.layers`, in which `load_weights` reads a file. Layers are ordered by
 * depth, so a shortcut's layers directly precede the branch's last layers of the same kind.
 */
export function inKerasOrder(parameters: readonly Parameter[], { block }: Architecture): Parameter[] {
  const last = block === 'bottleneck' ? '3' : '2'
  return layersWithShortcutsBefore(parameters, (layer) => `${layer}${last}`).flat()
}
