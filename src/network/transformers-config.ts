import { ConfigFields } from './config-fields.ts'
import type { ArchitectureRequest } from './specification.ts'

/** Preprocessing of a model's configuration, and the size of its images. */
export interface ImageConfig {
  readonly size?: readonly [height: number, width: number]
  readonly preprocessing: {
    readonly scale: number
    readonly mean?: number[]
    readonly std?: number[]
    readonly resize?: { readonly short_side: number; readonly interpolation: string }
  }
}

const MAX_SIDE = 8192
/** Pillow's numbers of its filters. */
const RESAMPLING = ['nearest', 'lanczos', 'bilinear', 'bicubic']

/** The architecture of a `ResNetConfig` (`transformers/models/resnet/configuration_resnet.py`). */
export function readTransformersArchitecture(config: ConfigFields): ArchitectureRequest {
  const depths = config.numbers('depths') ?? [3, 4, 6, 3]
  const widths = config.numbers('hidden_sizes') ?? [256, 512, 1024, 2048]
  const layer = config.text('layer_type') ?? 'bottleneck'
  if (layer !== 'basic' && layer !== 'bottleneck')
    config.fail('layer_type', `must be basic or bottleneck, got ${JSON.stringify(layer)}`)
  const activation = config.text('hidden_act') ?? 'relu'
  if (activation !== 'relu')
    config.fail(
      'hidden_act',
      `must be relu, the activation of this service; got ${JSON.stringify(activation)}`,
    )
  if (depths.length === 0 || !depths.every((depth) => Number.isInteger(depth) && depth >= 1 && depth <= 256))
    config.fail('depths', 'must have from 1 to 256 blocks for each stage')
  const expansion = layer === 'bottleneck' ? 4 : 1
  const isWidth = (width: number) => Number.isInteger(width / expansion) && width >= 1 && width <= 65536
  if (widths.length !== depths.length || !widths.every(isWidth))
    config.fail('hidden_sizes', `must have one multiple of ${String(expansion)} for each stage`)
  const early = config.flag('downsample_in_bottleneck') ?? false
  const first = config.flag('downsample_in_first_stage') ?? false
  return {
    version: early && layer === 'bottleneck' ? 'v1' : 'v1.5',
    block: layer,
    padding: 'symmetric',
    stem: {
      ...{ kernel_size: 7, filters: config.count('embedding_size', 65536) ?? 64, strides: 2 },
      padding: 'symmetric',
      pool: { type: 'max', size: 3, strides: 2, padding: 'symmetric' },
    },
    stages: depths.map((blocks, stage) => ({
      blocks,
      filters: (widths[stage] ?? 0) / expansion,
      strides: stage === 0 && !first ? 1 : 2,
    })),
    input_shape: [224, 224, config.count('num_channels', 8192) ?? 3],
  }
}

/** A `preprocessor_config.json`, as ConvNextImageProcessor and ViTImageProcessor read it. */
export function readTransformersImages(value: unknown): ImageConfig {
  const config = new ConfigFields(value, '#/config/preprocessor')
  const rescales = config.flag('do_rescale') ?? true
  const normalizes = config.flag('do_normalize') ?? true
  const mean = config.numbers('image_mean')
  const std = config.numbers('image_std')
  if (normalizes && (mean === undefined || std === undefined))
    config.fail('image_mean', 'is required, with image_std, where do_normalize is not false')
  const preprocessing = {
    scale: rescales ? (config.number('rescale_factor') ?? 1 / 255) : 1,
    ...(normalizes && mean && std && { mean, std }),
  }
  const isResized = config.flag('do_resize') ?? true
  const given = config.get('size')
  const sides = typeof given === 'object' ? config.object('size') : undefined
  const side = sides ? sides.count('shortest_edge', MAX_SIDE) : config.count('size', MAX_SIDE)
  const [height, width] = [sides?.count('height', MAX_SIDE), sides?.count('width', MAX_SIDE)]
  if (height !== undefined && width !== undefined) return { size: [height, width], preprocessing }
  if (side === undefined) return { preprocessing }
  const crop = config.number('crop_pct')
  if (crop !== undefined && (crop <= 0 || crop > 1))
    config.fail('crop_pct', `must be above 0 and at most 1, got ${String(crop)}`)
  const number = config.number('resample') ?? 2
  const interpolation = RESAMPLING[number]
  if (interpolation === undefined)
    return config.fail(
      'resample',
      `must be 0 nearest, 1 lanczos, 2 bilinear or 3 bicubic, got ${String(number)}`,
    )
  // ConvNextImageProcessor resizes images from 384 on without a crop.
  const isCropped = isResized && crop !== undefined && side < 384
  const resize = { short_side: Math.floor(side / (crop ?? 1)), interpolation }
  return { size: [side, side], preprocessing: { ...preprocessing, ...(isCropped && { resize }) } }
}
