import { describe, expect, test } from 'vitest'
import { presets } from '../../../src/network/architectures.ts'
import { inferSpecification } from '../../../src/network/infer-specification.ts'
import { layoutProblem, layouts } from '../../../src/network/layouts.ts'
import type { FoundTensor } from '../../../src/network/locate-network.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned, small } from '../support/requests.ts'
import {
  fileOf,
  kerasFile,
  torchvisionFile,
  transformersFile,
  withClasses,
} from '../support/weights-files.ts'

const f32 = (name: string, ...shape: number[]): FoundTensor => ({ name, dtype: 'F32', shape })
const inferred = (file: readonly FoundTensor[], prefix = 'auto') => inferSpecification(file, prefix)
const refused = (file: readonly FoundTensor[]) => refusal(() => inferred(file))

describe.each(Object.keys(presets))('%s', (architecture) => {
  const plan = planned({ architecture })

  test.each(layouts)('is inferred from the names of %s, with the same id', (layout) => {
    if (layoutProblem(layout, plan) !== undefined) return
    const request = inferred(fileOf(plan, layout, layout === 'keras' ? 'net/' : 'module._orig_mod.'))
    expect(request.architecture).toBe(architecture)
    expect(planned(request).id).toBe(plan.id)
  })

  test('is inferred with other classes', () => {
    const request = inferred(fileOf(planned({ architecture, classes: 7 }), 'resinit'))
    expect(request).toMatchObject({ architecture, classes: 7 })
  })

  test('is inferred without the dense layer', () => {
    const body = fileOf(plan, 'resinit').filter(({ name }) => !name.startsWith('head/dense'))
    expect(inferred(body)).toEqual({ architecture, preprocessing: presets[architecture]?.preprocessing })
  })
})

describe('files of other frameworks', () => {
  test.each([
    ['torchvision', torchvisionFile('resnet18'), 'resnet18', 'torch'],
    ['torchvision', torchvisionFile('resnet50'), 'resnet50', 'torch'],
    ['keras', kerasFile('ResNet50'), 'resnet50_v1', 'caffe'],
    ['keras', kerasFile('ResNet50V2'), 'resnet50_v2', 'tf'],
  ])('%s %#', (_, file, architecture, preprocessing) => {
    expect(inferred(file)).toEqual({ architecture, classes: 1000, preprocessing })
    expect(inferred(withClasses(file, 1000, 37))).toEqual({ architecture, classes: 37, preprocessing })
  })

  test("transformers' networks, also of the base model", () => {
    const file = transformersFile({
      ...{ depths: [3, 4, 6, 3], hidden_sizes: [256, 512, 1024, 2048], layer_type: 'bottleneck' },
    })
    const expected = { architecture: 'resnet50', preprocessing: 'torch' }
    expect(inferred(file)).toEqual({ ...expected, classes: 1000 })
    const base = file.flatMap((tensor) =>
      tensor.name.startsWith('resnet.') ? [{ ...tensor, name: tensor.name.slice(7) }] : [],
    )
    expect(inferred(base)).toEqual(expected)
    expect(planned(inferred(base)).id).toBe(planned({ architecture: 'resnet50' }).id)
  })

  test('transformers, strides in the first stage', () => {
    const first = { depths: [2, 2], hidden_sizes: [64, 128], layer_type: 'basic' } as const
    const { architecture } = inferred(transformersFile({ ...first, downsample_in_first_stage: true }))
    expect(architecture).toMatchObject({ stages: [{ strides: 2 }, { strides: 2 }], shortcut: 'projection' })
  })

  test('wide networks have an expansion of 2', () => {
    const wide = torchvisionFile('resnet50').map((tensor) =>
      widen(tensor, /layer\d\.\d+\.(conv[12]|bn[12])\./, /layer\d\.\d+\.conv([23])\./),
    )
    expect(inferred(wide).architecture).toMatchObject({
      version: 'v1.5',
      expansion: 2,
      stages: [3, 4, 6, 3].map((blocks, stage) => ({ blocks, filters: 128 * 2 ** stage })),
    })
  })
})

/** Doubles the inner channels of bottlenecks, as wide_resnet50_2 does. */
function widen(tensor: FoundTensor, outputs: RegExp, inputs: RegExp): FoundTensor {
  const { name, shape } = tensor
  return {
    ...tensor,
    shape: shape.map((size, axis) => {
      const doubled = (axis === 0 && outputs.test(name)) || (axis === 1 && inputs.test(name))
      return doubled ? 2 * size : size
    }),
  }
}

describe('networks that are no preset', () => {
  const stem = { kernel_size: 3, filters: 8, strides: 1, padding: 'symmetric', pool: null }
  const torch = {
    padding: 'symmetric',
    stem,
    stages: [8, 16].map((filters, s) => ({ blocks: 2, filters, strides: 1 + s })),
  }
  test.each([
    ['basic', {}],
    ['bottleneck', { block: 'bottleneck', expansion: 2 }],
    ['projections in all blocks', { shortcut: 'always' }],
    ['rules for each stage', { shortcut: ['always', 'projection'] }],
    ['5x5 windows', { kernel_size: 5 }],
    ['four channels', { input_shape: [32, 32, 4] }],
    [
      'equal filters without strides',
      { stages: [8, 8].map((filters) => ({ blocks: 1, filters, strides: 1 })) },
    ],
  ])('%s', (_, fields) => {
    const plan = planned({ architecture: small({ ...torch, ...fields }), preprocessing: 'unit' })
    const request = inferred(fileOf(plan, 'torchvision', 'net.'))
    expect(planned({ ...request, preprocessing: 'unit' }).id).toBe(plan.id)
  })

  test.each([true, false])('pre-activation of Keras, biases %s', (use_bias) => {
    const v2 = {
      ...{
        version: 'v2',
        block: 'bottleneck',
        padding: 'symmetric',
        stem: { padding: 'symmetric', pool: { padding: 'symmetric' } },
      },
      stages: [1, 2].map((width, stage) => ({ blocks: 2, filters: 16 * width, strides: 2 - stage })),
      ...{ strides_in: 'last', shortcut: 'pool', use_bias, norm: { epsilon: 1.001e-5, momentum: 0.99 } },
    }
    const plan = planned({ architecture: v2, classes: 10, preprocessing: 'tf' })
    expect(planned(inferred(fileOf(plan, 'keras'))).id).toBe(plan.id)
  })

  test('one channel: the preset with another input, without statistics of RGB images', () => {
    const plan = planned({
      architecture: { preset: 'resnet18', input_shape: [224, 224, 1] },
      preprocessing: 'unit',
    })
    const request = inferred(fileOf(plan, 'torchvision'))
    expect(request).toMatchObject({ architecture: { preset: 'resnet18' }, preprocessing: 'unit' })
    expect(planned(request).id).toBe(plan.id)
  })
})

describe('refuses', () => {
  const resnet50 = torchvisionFile('resnet50')
  const replaced = (name: string, ...tensors: FoundTensor[]) =>
    resnet50.flatMap((tensor) => (tensor.name === name ? tensors : [tensor]))

  test('grouped convolutions', () => {
    const file = replaced('layer1.0.conv2.weight', f32('layer1.0.conv2.weight', 64, 2, 3, 3))
    expect(codeAndPointers(refused(file))).toEqual(['INVALID_WEIGHTS', '#/weights/layer1.0.conv2.weight'])
    expect(refused(file).message).toMatch(
      /\[64, 2, 3, 3\] instead of \[64, 64, 3, 3\]; .* 32 groups, as in ResNeXt/,
    )
  })

  test.each([
    ['layer1.0.se.fc1.weight', /squeeze-and-excitation/],
    ['layer2.0.downsample.2.weight', /average pool/],
    ['conv1.0.weight', /deep stem/],
    ['layer1.0.conv4.weight', /do not have/],
    ['layer1.0.bn1.rates', /do not have/],
  ])('%s', (name, text) => {
    const error = refused([...resnet50, f32(name, 64, 64, 1, 1)])
    expect(error.errors[0]?.pointer).toBe(`#/weights/${name}`)
    expect(error.message).toMatch(text)
  })

  test('a convolution with other axes', () => {
    expect(refused(replaced('conv1.weight', f32('conv1.weight', 64, 147))).message).toMatch(
      /four axes, got \[64, 147\]/,
    )
    expect(refused(replaced('conv1.weight')).message).toMatch(/lacks the kernel of the first convolution/)
  })

  test('shortcuts without parameters that change the shape', () => {
    const file = fileOf(planned({ architecture: 'resnet20' }), 'torchvision')
    const optionA = file.filter(({ name }) => !name.includes('downsample'))
    expect(refused(optionA).message).toMatch(/no projection in stage2\/block1, where 16 channels become 32/)
  })

  test('gaps in blocks and stages', () => {
    const without = (text: string) => resnet50.filter(({ name }) => !name.startsWith(text))
    expect(refused(without('layer2.1.')).message).toMatch(/block 2 of stage 2/)
    expect(refused(without('layer2.')).message).toMatch(/block 1 of stage 2/)
  })

  test.each([
    ['a vision transformer', ['cls_token', 'blocks.0.attn.qkv.weight']],
    ['no residual', ['weight', 'bias']],
    ['such as VGG', ['features.0.weight']],
  ])('%s', (text, names) => {
    expect(refused(names.map((name) => f32(name, 2))).message).toMatch(text)
  })

  test('an empty file, and schemes that only "spec" names', () => {
    expect(refused([]).message).toMatch(/has no tensor/)
    const fixup = planned({ architecture: small({ norm: 'none' }), residual_scheme: 'fixup' })
    expect(refused(fileOf(fixup, 'resinit')).message).toMatch(/residual_scheme/)
  })

  test('numbers beyond the limits of specifications', () => {
    const huge = [f32('conv1.weight', 1e9, 3, 3, 3), f32('layer1.0.conv1.weight', 1e9, 1e9, 3, 3)]
    expect(refused(huge).message).toMatch(/does not build.*filters/)
  })
})
