import type { Dataset } from './hdf5.ts'

/** A group with variables, in the order of their numbers. */
export interface SavedLayer {
  /** `layers/conv2d_1` */
  readonly path: string
  /** The layer's name, which newer Keras writes as an attribute. */
  readonly name: string | undefined
  readonly variables: readonly Dataset[]
}

interface Convolution {
  readonly path: string
  readonly size: number
  readonly inputs: number
  readonly outputs: number
}

/** A residual block: its convolutions by their numbers in the names; 0 is the shortcut's. */
interface Block {
  readonly inputs: number
  readonly outputs: number
  readonly hasShortcut: boolean
  readonly branch: readonly Convolution[]
  /** In the order of layers, in which the shortcut precedes the last convolution of the branch. */
  readonly ordered: readonly (readonly [number: number, convolution: Convolution])[]
}

/**
 * Names layers as keras.applications does, by group. The groups' numbers (`conv2d_12`) are the order of the layers; the
 * shapes of the kernels must form residual blocks, and those of the normalizations must fit. Undefined if they do not.
 */
export function nameByOrder(layers: readonly SavedLayer[]): Map<string, string> | undefined {
  const [stem, ...convolutions] = ofClass(layers, 'conv2d').flatMap(({ path, variables }) => {
    const [height = 0, width = 0, inputs = 0, outputs = 0] = variables[0]?.shape ?? []
    return height === width ? [{ path, size: height, inputs, outputs }] : []
  })
  const norms = ofClass(layers, 'batch_normalization')
  const [dense, ...others] = ofClass(layers, 'dense')
  if (stem === undefined || others.length > 0) return undefined
  const blocks = findBlocks(convolutions, stem.outputs)
  if (blocks === undefined) return undefined

  const names = new Map([[stem.path, 'conv1_conv']])
  if (dense) names.set(dense.path, 'predictions')
  const after: [name: string, channels: number][] = [['conv1_bn', stem.outputs]]
  const before: [name: string, channels: number][] = []
  let [stage, number] = [1, 0]
  blocks.forEach((block, index) => {
    if (index === 0 || block.hasShortcut) [stage, number] = [stage + 1, 0]
    number += 1
    const prefix = `conv${String(stage)}_block${String(number)}`
    for (const [place, { path, outputs }] of block.ordered) {
      names.set(path, `${prefix}_${String(place)}_conv`)
      after.push([`${prefix}_${String(place)}_bn`, outputs])
    }
    before.push([`${prefix}_preact_bn`, block.inputs])
    block.branch
      .slice(0, -1)
      .forEach(({ outputs }, place) => before.push([`${prefix}_${String(place + 1)}_bn`, outputs]))
  })
  before.push(['post_bn', blocks.at(-1)?.outputs ?? stem.outputs])
  const fitting = [after, before].find(
    (named) =>
      named.length === norms.length &&
      named.every(([, channels], index) => norms[index]?.variables[0]?.shape[0] === channels),
  )
  if (fitting === undefined) return undefined
  fitting.forEach(([name], index) => names.set(norms[index]?.path ?? '', name))
  return names
}

/** The layers of a class at the top level, by number. */
function ofClass(layers: readonly SavedLayer[], name: string): SavedLayer[] {
  return layers
    .flatMap((layer) => {
      const [, group, number = '0'] = /^[^/]+\/([a-z0-9_]*?[a-z0-9])(?:_(\d+))?$/.exec(layer.path) ?? []
      return group === name ? [{ layer, number: Number(number) }] : []
    })
    .sort((a, b) => a.number - b.number)
    .map(({ layer }) => layer)
}

/** Groups all convolutions into blocks; undefined if they are not those of residual blocks. */
function findBlocks(convolutions: readonly Convolution[], channels: number): Block[] | undefined {
  const blocks: Block[] = []
  let inputs = channels
  for (let at = 0; at < convolutions.length;) {
    const length = convolutions[at]?.size === 1 ? 3 : 2
    const block = [false, true]
      .map((hasShortcut) =>
        asBlock(convolutions.slice(at, at + length + (hasShortcut ? 1 : 0)), length, inputs),
      )
      .find((found) => found !== undefined)
    if (block === undefined) return undefined
    blocks.push(block)
    inputs = block.outputs
    at += block.ordered.length
  }
  return blocks
}

/** The block that these convolutions form; undefined if channels or kernel sizes do not fit. */
function asBlock(found: readonly Convolution[], length: number, inputs: number): Block | undefined {
  const hasShortcut = found.length > length
  const shortcut = hasShortcut ? found[length - 1] : undefined
  const branch = found.filter((convolution) => convolution !== shortcut)
  const last = branch.at(-1)
  if (last === undefined || branch.length !== length) return undefined
  const isChain = branch.every((each, place) => each.inputs === (branch[place - 1]?.outputs ?? inputs))
  const sizes = branch.map(({ size }) => size)
  const isBranch = length === 2 ? sizes.join() === '3,3' : sizes.join() === '1,3,1'
  const isSum = shortcut
    ? shortcut.size === 1 && shortcut.inputs === inputs && shortcut.outputs === last.outputs
    : last.outputs === inputs
  if (!isChain || !isBranch || !isSum) return undefined
  const numbered = branch.map((each, place) => [place + 1, each] as const)
  const ordered = shortcut
    ? [...numbered.slice(0, -1), [0, shortcut] as const, ...numbered.slice(-1)]
    : numbered
  return { inputs, outputs: last.outputs, hasShortcut, branch, ordered }
}
