import { quoteName } from '../../common/errors.ts'
import type { Dataset, Hdf5 } from './hdf5.ts'
import type { LayerConfig } from './layer-configs.ts'
import { nameByOrder, type SavedLayer } from './names-by-order.ts'
import { notKeras } from './problems.ts'

export interface NamedDataset {
  /** `conv2_block1_1_conv/kernel` */
  readonly name: string
  /** A longer name, for files in which several weights have the same one. */
  readonly path: string
  readonly dataset: Dataset
}

/** The group of the layers, also in Keras 2.12. */
const LAYERS = ['layers', '_layer_checkpoint_dependencies']
/** State of training and of random layers. */
const IGNORED = new Set(['optimizer', 'seed_generator', 'compile_metrics', 'metrics', 'loss_tracker'])
const MAX_DEPTH = 8
const MAX_GROUPS = 20_000

/**
 * The weights of a `.weights.h5` file (`saving_lib.py`). Its groups have the names of classes; the layers' own names are
 * attributes, or come from the configuration, or follow from order and shapes.
 */
export function readSavedWeights(
  file: Hdf5,
  configs: ReadonlyMap<string, LayerConfig> = new Map(),
): NamedDataset[] {
  const layers = findLayers(file)
  if (layers.length === 0) throw notKeras('it has neither layer_names nor groups with variables')
  const isNamed = configs.size > 0 || layers.some(({ name }) => name !== undefined)
  const ordered = isNamed ? undefined : nameByOrder(layers)
  return layers.flatMap(({ path, name, variables }) => {
    const config = configs.get(path.replaceAll(LAYERS[1] ?? '', 'layers'))
    const layer = name ?? config?.name ?? ordered?.get(path) ?? path.split('/').at(-1) ?? path
    return variables.map((dataset, index) => {
      const role = nameRoles(variables, config)[index] ?? String(index)
      return { name: `${layer}/${role}`, path: `${path}/${role}`, dataset }
    })
  })
}

function findLayers(file: Hdf5): SavedLayer[] {
  const layers: SavedLayer[] = []
  let groups = 0
  const visit = (path: string, depth: number): void => {
    groups += 1
    if (depth > MAX_DEPTH) throw notKeras(`its groups are nested deeper than ${String(MAX_DEPTH)} levels`)
    if (groups > MAX_GROUPS) throw notKeras(`it has more than ${String(MAX_GROUPS)} groups`)
    for (const member of file.members(path)) {
      const inner = path === '' ? member : `${path}/${member}`
      if (IGNORED.has(member) || file.kind(inner) !== 'group') continue
      if (member !== 'vars') visit(inner, depth + 1)
      else if (path !== '') addLayer(path, inner)
    }
  }
  const addLayer = (path: string, group: string): void => {
    const names = file.members(group).sort((a, b) => Number(a) - Number(b))
    groups += names.length
    if (names.length === 0) return
    const variables = names.map((name, index) => {
      if (name !== String(index)) throw notKeras(`group ${quoteName(group)} has no variable ${String(index)}`)
      return file.describe(`${group}/${name}`)
    })
    layers.push({ path, name: file.texts(group, 'name')?.[0], variables })
  }
  const root = file.members('')
  visit(LAYERS.find((name) => root.includes(name) && file.kind(name) === 'group') ?? '', 0)
  return layers
}

/** Names of variables by their shapes. Other variables have numbers. */
function nameRoles(variables: readonly Dataset[], config?: LayerConfig): readonly string[] {
  const [first, second] = variables
  if (first === undefined) return []
  if (first.shape.length > 1) return second?.shape.length === 1 ? ['kernel', 'bias'] : ['kernel']
  const { scale, center } = config ?? { scale: true, center: true }
  const norm = [...(scale ? ['gamma'] : []), ...(center ? ['beta'] : []), 'moving_mean', 'moving_variance']
  const isNorm = variables.every(({ shape }) => shape.length === 1 && shape[0] === first.shape[0])
  return isNorm && norm.length === variables.length ? norm : []
}
