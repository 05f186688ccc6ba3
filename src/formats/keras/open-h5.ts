import { countValues } from '../shape.ts'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import { dtypeNamed } from '../dtypes.ts'
import type { TensorInfo, WeightsFile, WeightsFormat } from '../weights-file.ts'
import type { Dataset, Hdf5 } from './hdf5.ts'
import { readLayerConfigs, type LayerConfig } from './layer-configs.ts'
import { findLegacyRoot, readLegacyWeights } from './legacy-weights.ts'
import { notKeras } from './problems.ts'
import { readSavedWeights } from './saved-weights.ts'

interface H5Options {
  readonly format?: WeightsFormat
  readonly configs?: ReadonlyMap<string, LayerConfig>
}

/**
 * Opens an HDF5 file of Keras: the legacy `.h5` of `model.save` and `model.save_weights`, or `.weights.h5` of Keras 3,
 * with `configs` from the archive around it. Tensors have the names of keras.applications,
 * `conv2_block1_1_conv/kernel`; the optimizer's are left out. Throws INVALID_WEIGHTS if the file is damaged or not
 * supported. The caller closes it.
 */
export async function openH5(path: string, options: H5Options = {}): Promise<WeightsFile> {
  const { format = 'keras_h5', configs } = options
  // Loads the library, 4 MB of WebAssembly, when it is first needed.
  const { Hdf5 } = await import('./hdf5.ts')
  const file = await Hdf5.open(path)
  try {
    const root = findLegacyRoot(file)
    if (root !== undefined) await checkModelConfig(file)
    const found = root === undefined ? readSavedWeights(file, configs) : readLegacyWeights(file, root)
    const names = new Map<string, number>()
    for (const { name } of found) names.set(name, (names.get(name) ?? 0) + 1)
    const datasets = new Map(
      found.map(({ name, path: longer, dataset }) => [names.get(name) === 1 ? name : longer, dataset]),
    )
    checkSizes([...datasets.values()], file.bytes)
    return {
      format,
      tensors: new Map([...datasets].map(([name, dataset]) => [name, describe(name, dataset)])),
      metadata: {},
      read: (name, offset = 0, count) => {
        const dataset = datasets.get(name)
        if (dataset === undefined) return Promise.reject(new RangeError(`no tensor ${name}`))
        const size = countValues(dataset.shape)
        const values = count ?? size - offset
        if (offset < 0 || values < 0 || offset + values > size)
          return Promise.reject(new RangeError(`no values ${String(offset)} to ${String(offset + values)}`))
        return new Promise((resolve) => {
          resolve(file.read(dataset, offset, values))
        })
      },
      close: () =>
        new Promise((resolve) => {
          file.close()
          resolve()
        }),
    }
  } catch (error) {
    file.close()
    throw error
  }
}

function describe(name: string, { dtype, shape }: Dataset): TensorInfo {
  return { name, dtype, shape }
}

/** Throws if the model that `model.save` stored beside its weights has custom layers. */
async function checkModelConfig(file: Hdf5): Promise<void> {
  const [text] = file.texts('', 'model_config') ?? []
  if (text === undefined) return
  let config: unknown
  try {
    config = await readJson(Buffer.from(text))
  } catch (error) {
    throw notKeras(`its attribute model_config ${jsonProblem(error)}`)
  }
  readLayerConfigs(config)
}

/** Without compression, a file is longer than its values. A shape that needs more is forged, or its values are missing. */
function checkSizes(datasets: readonly Dataset[], bytes: number): void {
  const needed = datasets.reduce(
    (sum, dataset) => sum + countValues(dataset.shape) * (dtypeNamed(dataset.dtype)?.bytes ?? 1),
    0,
  )
  if (!(needed <= bytes))
    throw notKeras(`it has ${String(bytes)} bytes, but the shapes of its tensors need ${String(needed)}`)
}
