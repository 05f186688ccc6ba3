import { quoteName } from '../../common/errors.ts'
import { notKeras } from './problems.ts'

/** What a model's configuration says about a layer. */
export interface LayerConfig {
  readonly name: string
  /** Whether a normalization has gamma and beta. */
  readonly scale: boolean
  readonly center: boolean
}

/** Layers that residual networks consist of, and others without weights. Nothing in a configuration is executed. */
const KNOWN = new Set(
  [
    ['InputLayer', 'Functional', 'Model', 'Sequential', 'Conv2D', 'Dense', 'BatchNormalization'],
    ['ZeroPadding2D', 'Cropping2D', 'Add', 'Activation', 'ReLU', 'Softmax', 'Identity', 'Flatten', 'Reshape'],
    ['MaxPooling2D', 'AveragePooling2D', 'GlobalAveragePooling2D', 'GlobalMaxPooling2D'],
    ['Dropout', 'SpatialDropout2D', 'GaussianNoise', 'Rescaling', 'Normalization', 'Resizing', 'CenterCrop'],
    ['RandomFlip', 'RandomRotation', 'RandomZoom', 'RandomCrop', 'RandomTranslation'],
    ['RandomContrast', 'RandomBrightness'],
  ].flat(),
)
const OPERATIONS = /^keras\.(src\.)?ops\b/
const MAX_NAMED = 5

/**
 * The layers in a model's configuration (`config.json`, the attribute `model_config`) by their groups in a
 * `.weights.h5` file: `layers/conv2d_1`, `layers/functional/layers/conv2d`. Throws INVALID_WEIGHTS if a class is custom
 * or unknown.
 */
export function readLayerConfigs(model: unknown): Map<string, LayerConfig> {
  const layers = new Map<string, LayerConfig>()
  const unknown = new Set<string>()
  addLayers(model, '', layers, unknown)
  if (unknown.size > 0) {
    const named = [...unknown].slice(0, MAX_NAMED).map(quoteName).join(', ')
    const more = unknown.size > MAX_NAMED ? ` and ${String(unknown.size - MAX_NAMED)} more` : ''
    throw notKeras(
      `it is Keras with custom layers: ${named}${more}; save a model that consists of the standard layers of a residual network`,
    )
  }
  return layers
}

function addLayers(
  model: unknown,
  parent: string,
  layers: Map<string, LayerConfig>,
  unknown: Set<string>,
): void {
  const { config } = asRecord(model)
  // Sequential models of Keras before 2.2.3 have the list itself.
  const members = Array.isArray(config) ? (config as unknown[]) : asRecord(config)['layers']
  if (!Array.isArray(members)) return
  const used = new Map<string, number>()
  for (const member of members as unknown[]) {
    const { class_name: className, config: own, module, registered_name: registered } = asRecord(member)
    if (typeof module === 'string' && OPERATIONS.test(module)) continue
    const isCustom = typeof module === 'string' ? !/^keras\b/.test(module) : typeof registered === 'string'
    if (typeof className !== 'string' || isCustom || !KNOWN.has(className)) {
      unknown.add(typeof className === 'string' ? className : 'a layer without a class')
      continue
    }
    const group = toSnakeCase(className === 'Model' ? 'Functional' : className)
    const count = used.get(group) ?? 0
    used.set(group, count + 1)
    const path = `${parent}layers/${count === 0 ? group : `${group}_${String(count)}`}`
    const { name, scale, center } = asRecord(own)
    if (typeof name === 'string') layers.set(path, { name, scale: scale !== false, center: center !== false })
    addLayers(member, `${path}/`, layers, unknown)
  }
}

/** As `keras.src.utils.naming.to_snake_case`. */
function toSnakeCase(className: string): string {
  return className
    .replaceAll(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replaceAll(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}
