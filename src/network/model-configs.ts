import { parser } from '../common/validation.ts'
import { presets } from './architectures.ts'
import { ConfigFields } from './config-fields.ts'
import { readLabels } from './config-labels.ts'
import { joinArchitectures, type PartialSpecification } from './merge-specifications.ts'
import { PreprocessingRequest } from './preprocessing.ts'
import {
  readTransformersArchitecture,
  readTransformersImages,
  type ImageConfig,
} from './transformers-config.ts'

const parsePreprocessing = parser(PreprocessingRequest)
const MAX_CLASSES = 1_000_000
const MAX_SIDE = 8192
const INTERPOLATIONS = ['nearest', 'lanczos', 'bilinear', 'bicubic']

/**
 * The specification of a `config.json` of timm or transformers, with transformers' `preprocessor_config.json`; each may
 * be undefined. Fields that they do not determine are missing. Throws INVALID_REQUEST at `#/config`.
 */
export function readModelConfig(config: unknown, preprocessor: unknown): PartialSpecification {
  const images = preprocessor === undefined ? undefined : readTransformersImages(preprocessor)
  if (config === undefined) return images === undefined ? {} : withImages({}, images)
  const fields = new ConfigFields(config, '#/config')
  if (fields.has('pretrained_cfg') || fields.has('architecture')) return readTimm(fields, images)
  const type = fields.text('model_type')
  if (type !== 'resnet')
    fields.fail(
      'model_type',
      `must be "resnet", or "architecture" that of timm; got ${JSON.stringify(type ?? null)}`,
    )
  const labels = readLabels(fields, 'id2label')
  const classes = fields.count('num_labels', MAX_CLASSES) ?? countLabels(fields)
  const architecture = readTransformersArchitecture(fields)
  return withImages({ architecture, ...rest(classes, labels) }, images)
}

function countLabels(fields: ConfigFields): number | undefined {
  const labels = fields.get('id2label')
  const count = typeof labels === 'object' && labels !== null ? Object.keys(labels).length : 0
  return count > 0 && count <= MAX_CLASSES ? count : undefined
}

function rest(classes: number | undefined, labels: PartialSpecification['labels']): PartialSpecification {
  return { ...(classes !== undefined && { classes }), ...(labels !== undefined && { labels }) }
}

function withImages(partial: PartialSpecification, images: ImageConfig | undefined): PartialSpecification {
  if (images === undefined) return partial
  const { size, preprocessing } = images
  const architecture =
    size === undefined
      ? partial.architecture
      : joinArchitectures(partial.architecture, { input_shape: [...size, preprocessing.mean?.length ?? 3] })
  return {
    ...partial,
    ...(architecture !== undefined && { architecture }),
    preprocessing: parsePreprocessing(preprocessing, '#/config/preprocessing'),
  }
}

/** timm's `config.json` (`timm/models/_hub.py: save_config_for_hf`). */
function readTimm(fields: ConfigFields, images: ImageConfig | undefined): PartialSpecification {
  const name = fields.text('architecture')?.replace(/^tv_/, '')
  if (name === undefined || !/^resnet\d+$/.test(name) || !Object.hasOwn(presets, name)) {
    // Wide networks are inferred from the tensors.
    if (name === undefined || !/^wide_resnet\d+_2$/.test(name))
      fields.fail(
        'architecture',
        `must be that of a ResNet of this service, such as resnet50; got ${JSON.stringify(name ?? null)}`,
      )
  }
  const [argument] =
    fields
      .object('model_args')
      ?.keys()
      .filter((key) => !['num_classes', 'in_chans'].includes(key)) ?? []
  if (argument !== undefined)
    fields.fail('model_args', `changes the network by ${JSON.stringify(argument)}, which is not supported`)
  const pretrained = fields.object('pretrained_cfg')
  const classes = fields.count('num_classes', MAX_CLASSES) ?? pretrained?.count('num_classes', MAX_CLASSES)
  const named = readLabels(fields, 'label_names') ?? (pretrained && readLabels(pretrained, 'label_names'))
  const isImagenet = classes === 1000 && /(^|_)in1k$/.test(pretrained?.text('tag') ?? '')
  const partial: PartialSpecification = {
    ...(Object.hasOwn(presets, name ?? '') && { architecture: name ?? '' }),
    ...rest(classes, named ?? (isImagenet ? 'imagenet' : undefined)),
  }
  return withImages(partial, images ?? (pretrained && readTimmImages(pretrained)))
}

/** timm's evaluation (`timm/data/transforms_factory.py: transforms_imagenet_eval`). */
function readTimmImages(fields: ConfigFields): ImageConfig | undefined {
  const mean = fields.numbers('mean')
  const std = fields.numbers('std')
  if (mean === undefined || std === undefined) return undefined
  const [channels = 3, height = 224, width = 224] = fields.numbers('input_size') ?? []
  const side = Math.min(height, width)
  const sizes = [channels, height, width]
  if (
    !sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= MAX_SIDE) ||
    mean.length !== channels
  )
    fields.fail('input_size', 'must be channels, height and width, with a mean for each channel')
  const crop = fields.number('crop_pct') ?? 0.875
  if (crop <= 0 || crop > 1) fields.fail('crop_pct', `must be above 0 and at most 1, got ${String(crop)}`)
  const interpolation = fields.text('interpolation') ?? 'bilinear'
  if (!INTERPOLATIONS.includes(interpolation))
    fields.fail('interpolation', `must be one of ${INTERPOLATIONS.join(', ')}`)
  const isCropped = (fields.text('crop_mode') ?? 'center') === 'center'
  const resize = { short_side: Math.floor(side / crop), interpolation }
  return { size: [height, width], preprocessing: { scale: 1 / 255, mean, std, ...(isCropped && { resize }) } }
}
