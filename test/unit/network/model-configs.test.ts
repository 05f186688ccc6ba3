import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { mergeSpecifications } from '../../../src/network/merge-specifications.ts'
import { readModelConfig } from '../../../src/network/model-configs.ts'
import { preprocessings } from '../../../src/network/preprocessing.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned } from '../support/requests.ts'

const path = new URL('../../../src/serving/models/imagenet-labels.json', import.meta.url)
const imagenet = JSON.parse(readFileSync(path, 'utf8')) as string[]
const { mean, std } = preprocessings.torch
const resnet = {
  ...{ model_type: 'resnet', architectures: ['ResNetForImageClassification'], num_channels: 3 },
  ...{ depths: [3, 4, 6, 3], hidden_sizes: [256, 512, 1024, 2048], embedding_size: 64 },
  ...{ layer_type: 'bottleneck', hidden_act: 'relu', downsample_in_first_stage: false },
}
const timm = (pretrained: object = {}, fields: object = {}) => ({
  ...{ architecture: 'resnet50', num_classes: 1000, num_features: 2048 },
  pretrained_cfg: { tag: 'a1_in1k', input_size: [3, 224, 224], mean, std, ...pretrained },
  ...fields,
})

describe('transformers', () => {
  test('the architecture of microsoft/resnet-50, its classes and its labels', () => {
    const config = readModelConfig({ ...resnet, id2label: Object.fromEntries(imagenet.entries()) }, undefined)
    expect(config).toMatchObject({ classes: 1000, labels: 'imagenet' })
    expect(planned(config).id).toBe(planned({ architecture: 'resnet50', labels: 'imagenet' }).id)
  })

  test.each([
    ['resnet18', { layer_type: 'basic', depths: [2, 2, 2, 2], hidden_sizes: [64, 128, 256, 512] }],
    ['resnet101', { depths: [3, 4, 23, 3] }],
  ])('%s', (architecture, fields) => {
    expect(planned(readModelConfig({ ...resnet, ...fields }, undefined)).id).toBe(
      planned({ architecture }).id,
    )
  })

  test('strides in the first convolution and the first stage', () => {
    const fields = { downsample_in_bottleneck: true, downsample_in_first_stage: true }
    expect(readModelConfig({ ...resnet, ...fields }, undefined).architecture).toMatchObject({
      version: 'v1',
      stages: [2, 2, 2, 2].map((strides) => ({ strides })),
    })
  })

  test('labels by index; names without a meaning are none', () => {
    expect(readModelConfig({ ...resnet, id2label: { 1: 'dog', 0: 'cat' } }, undefined)).toMatchObject({
      ...{ classes: 2, labels: ['cat', 'dog'] },
    })
    const bare = readModelConfig({ ...resnet, id2label: { 0: 'LABEL_0', 1: 'LABEL_1' } }, undefined)
    expect(bare).toMatchObject({ classes: 2 })
    expect(bare).not.toHaveProperty('labels')
  })

  test.each([
    [{ model_type: 'vit' }, 'model_type'],
    [{ model_type: undefined }, 'model_type'],
    [{ depths: 'many' }, 'depths'],
    [{ depths: [1e9] }, 'depths'],
    [{ hidden_sizes: [255, 512, 1024, 2048] }, 'hidden_sizes'],
    [{ hidden_sizes: [256] }, 'hidden_sizes'],
    [{ layer_type: 'dense' }, 'layer_type'],
    [{ hidden_act: 'gelu' }, 'hidden_act'],
    [{ id2label: { 0: 'a', 2: 'b' } }, 'id2label'],
    [{ num_labels: 0 }, 'num_labels'],
    [{ downsample_in_bottleneck: 'yes' }, 'downsample_in_bottleneck'],
  ])('refuses %j', (fields, field) => {
    const error = refusal(() => readModelConfig({ ...resnet, ...fields }, undefined))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', `#/config/${field}`])
  })

  test.each([null, 1, 'text', []])('a configuration is an object, not %j', (config) => {
    expect(codeAndPointers(refusal(() => readModelConfig(config, undefined)))).toContain('#/config')
  })

  test.each([
    [{ image_mean: undefined }, 'image_mean'],
    [{ size: 1e9 }, 'size'],
    [{ size: 288, crop_pct: 0 }, 'crop_pct'],
    [{ size: 288, resample: 9 }, 'resample'],
  ])('refuses the preprocessor %j', (fields, field) => {
    const images = { image_mean: mean, image_std: std, ...fields }
    const error = refusal(() => readModelConfig(resnet, images))
    expect(error.errors[0]?.pointer).toBe(`#/config/preprocessor/${field}`)
  })

  test('a preprocessor without a resize', () => {
    const images = {
      image_mean: mean,
      image_std: std,
      size: { height: 32, width: 48 },
      rescale_factor: 1 / 255,
    }
    expect(readModelConfig(undefined, images)).toEqual({
      architecture: { input_shape: [32, 48, 3] },
      preprocessing: { scale: 1 / 255, mean, std },
    })
  })
})

describe('timm', () => {
  test('the preset, ImageNet labels and preprocessing', () => {
    const config = readModelConfig(timm({ crop_mode: 'squash' }), undefined)
    expect(config).toMatchObject({ classes: 1000, labels: 'imagenet' })
    expect(planned(config).id).toBe(planned({ architecture: 'resnet50', labels: 'imagenet' }).id)
  })

  test.each([
    [timm({}, { architecture: 'seresnet50' }), 'architecture'],
    [timm({}, { model_args: { output_stride: 8 } }), 'model_args'],
    [timm({ crop_pct: 2 }), 'pretrained_cfg/crop_pct'],
    [timm({ interpolation: 'random' }), 'pretrained_cfg/interpolation'],
    [timm({ input_size: [3, -1, 1] }), 'pretrained_cfg/input_size'],
    [timm({ mean: 'x' }), 'pretrained_cfg/mean'],
    [timm({}, { num_classes: 1.5 }), 'num_classes'],
  ])('refuses %#', (config, field) => {
    const error = refusal(() => readModelConfig(config, undefined))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', `#/config/${field}`])
  })
})

describe('mergeSpecifications', () => {
  const inferred = { architecture: 'resnet50', classes: 1000, preprocessing: 'torch' } as const

  test('later fields replace earlier ones', () => {
    const given = { architecture: 'resnet18', preprocessing: 'unit' } as const
    expect(mergeSpecifications(inferred, { labels: 'imagenet' }, given)).toEqual({
      ...{ ...given, classes: 1000, labels: 'imagenet' },
    })
  })

  test('an architecture without a preset and stages changes the inferred one', () => {
    const input = { architecture: { input_shape: [288, 288, 3] } }
    expect(mergeSpecifications(inferred, input, { architecture: { norm: 'batch' } }).architecture).toEqual({
      ...{ preset: 'resnet50', input_shape: [288, 288, 3], norm: 'batch' },
    })
  })

  test('other classes have no labels of the configuration', () => {
    const config = { classes: 1000, labels: 'imagenet' } as const
    expect(mergeSpecifications(inferred, config, { classes: 10 })).toEqual({ ...inferred, classes: 10 })
    const units = { architecture: { preset: 'resnet18', head: { units: 5 } } }
    expect(mergeSpecifications(inferred, {}, units).classes).toBe(5)
  })
})
