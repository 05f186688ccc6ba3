import type { Dataset, Hdf5 } from './hdf5.ts'
import { notKeras } from './problems.ts'
import type { NamedDataset } from './saved-weights.ts'

/** Where `model.save` puts the groups that `save_weights` puts at the root. */
const MODEL_WEIGHTS = 'model_weights'
const MAX_WEIGHTS = 20_000

/** The group with the attribute `layer_names` (`legacy_h5_format.py`); undefined if the file has none. */
export function findLegacyRoot(file: Hdf5): string | undefined {
  return ['', MODEL_WEIGHTS].find(
    (path) =>
      (path === '' || (file.members('').includes(path) && file.kind(path) === 'group')) &&
      file.attributes(path).some((name) => name === 'layer_names' || name === 'layer_names0'),
  )
}

/** The weights of a legacy `.h5` file in the order of its layers. */
export function readLegacyWeights(file: Hdf5, root: string): NamedDataset[] {
  const weights: NamedDataset[] = []
  for (const layer of readList(file, root, 'layer_names')) {
    const group = join(root, layer)
    const names = readList(file, group, 'weight_names')
    if (weights.length + names.length > MAX_WEIGHTS)
      throw notKeras(`it lists more than ${String(MAX_WEIGHTS)} weights`)
    // A nested model is one layer here; its weights have the names of its own layers.
    const isNested = new Set(names.map((name) => dirname(name))).size > 1
    for (const name of names) {
      const plain = name.replace(/:\d+$/, '')
      const owner = isNested ? (dirname(plain).split('/').at(-1) ?? layer) : layer
      const dataset: Dataset = file.describe(join(group, name))
      weights.push({ name: `${owner}/${plain.split('/').at(-1) ?? ''}`, path: `${layer}/${plain}`, dataset })
    }
  }
  return weights
}

/** A list of strings, which may be split into numbered attributes. */
function readList(file: Hdf5, path: string, name: string): string[] {
  const whole = file.texts(path, name)
  if (whole) return whole
  const parts: string[] = []
  for (let index = 0; ; index += 1) {
    const part = file.texts(path, `${name}${String(index)}`)
    if (part === undefined) break
    parts.push(...part)
  }
  return parts
}

function dirname(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')))
}

function join(...steps: readonly string[]): string {
  return steps.filter((step) => step !== '').join('/')
}
