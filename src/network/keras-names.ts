import { layersWithShortcutsBefore, parseLayer, type ReadName } from './layer-names.ts'
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

const NAME =
  /(?:^|[./])((conv\d{1,3}_(?:conv|bn)|conv(\d{1,3})_block(\d{1,3})_(?:(\d)_(conv|bn)|preact_bn)|post_bn|predictions)\/([a-z_]+))$/
const LAYER_NAMES = new Map(Object.entries(LAYERS).map(([layer, name]) => [name, layer]))

/** Whether the names are those of pre-activation blocks. */
export function hasPreActivations(names: readonly string[]): boolean {
  return names.some((name) => /(_preact_bn|post_bn)\/[a-z_]+$/.test(name))
}

/** The inverse of `kerasName` for names with any prefix. */
export function kerasReader(preActivation: boolean): ReadName {
  return (name) => {
    const [, tail, part = '', stage, block, digit, kind, role = ''] = NAME.exec(name) ?? []
    if (tail === undefined) return undefined
    const isNorm = part.endsWith('bn')
    const roles: readonly string[] = isNorm
      ? ['gamma', 'beta', 'moving_mean', 'moving_variance']
      : ['kernel', 'bias']
    if (!roles.includes(role)) return undefined
    if (stage === undefined) {
      const layer = LAYER_NAMES.get(part)
      return layer === undefined ? undefined : { tail, parameter: `${layer}/${role}` }
    }
    const number = Number(digit ?? 0)
    const layer =
      digit === '0'
        ? `shortcut/${isNorm ? 'norm' : 'conv'}`
        : kind === 'conv'
          ? `conv${String(number)}`
          : `norm${String(preActivation ? number + 1 : number)}`
    return { tail, parameter: `stage${String(Number(stage) - 1)}/block${block ?? ''}/${layer}/${role}` }
  }
}

/**
 * Sorts parameters in the order of `model.layers`, in which `load_weights` reads a file. Layers are ordered by
 * depth, so a shortcut's layers directly precede the branch's last layers of the same kind.
 */
export function inKerasOrder(parameters: readonly Parameter[], { block }: Architecture): Parameter[] {
  const last = block === 'bottleneck' ? '3' : '2'
  return layersWithShortcutsBefore(parameters, (layer) => `${layer}${last}`).flat()
}
