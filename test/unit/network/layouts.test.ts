import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { detectLayout, layoutProblem, layouts, tensorsIn } from '../../../src/network/layouts.ts'
import { planned, small } from '../support/requests.ts'

type State = Readonly<Record<string, [dtype: 'float32' | 'int64', ...shape: number[]]>>
const fixture = new URL('../../fixtures/torchvision_names.json', import.meta.url)
const torchvision = JSON.parse(readFileSync(fixture, 'utf8')) as { resnet18: State; resnet50: State }

describe('torchvision', () => {
  test.each(['resnet18', 'resnet50'] as const)("%s has the state_dict's names, shapes and types", (name) => {
    const tensors = tensorsIn('torchvision', planned({ architecture: name }))
    const state = Object.fromEntries(
      tensors.map(({ name: key, dtype, shape }) => [key, [dtype === 'F32' ? 'float32' : 'int64', ...shape]]),
    )
    expect(state).toEqual(torchvision[name])
    expect(tensors).toHaveLength(Object.keys(state).length)
  })

  test('puts wider types first, so every tensor is aligned', () => {
    const types = tensorsIn('torchvision', planned({ architecture: 'resnet18' })).map(({ dtype }) => dtype)
    expect(types).toEqual([...types].sort().reverse())
  })

  test.each([
    [{ version: 'v2' }, /its blocks are v1 or v1.5; this network has v2/],
    [{ norm: 'none' }, /have norms; this network has none/],
    [{ use_bias: true }, /have no biases; this network has them/],
    [{ head: { pool: { size: 2 } } }, /global average; this network flattens/],
  ])('has no names for %j', (architecture, reason) => {
    const plan = planned({ architecture: small({ ...architecture }) })
    expect(layoutProblem('torchvision', plan)).toMatch(/^torchvision has no names for this network: /)
    expect(layoutProblem('torchvision', plan)).toMatch(reason)
    expect([layoutProblem('resinit', plan), layoutProblem('keras', plan)]).toEqual([undefined, undefined])
  })
})

describe('keras', () => {
  const namesOf = (architecture: object) =>
    tensorsIn('keras', planned({ architecture: small({ ...architecture }) })).map(({ name }) => name)
  const norm = (layer: string) =>
    ['gamma', 'beta', 'moving_mean', 'moving_variance'].map((role) => `${layer}/${role}`)

  test('lists layers in the order of model.layers', () => {
    const bottleneck = { block: 'bottleneck', stages: [{ blocks: 1, filters: 2 }] }
    expect(namesOf(bottleneck)).toEqual([
      ...['conv1_conv/kernel', ...norm('conv1_bn')],
      ...['conv2_block1_1_conv/kernel', ...norm('conv2_block1_1_bn')],
      ...['conv2_block1_2_conv/kernel', ...norm('conv2_block1_2_bn')],
      // Eight input and eight output channels.
      ...['conv2_block1_3_conv/kernel', ...norm('conv2_block1_3_bn')],
      ...['predictions/kernel', 'predictions/bias'],
    ])
    expect(
      namesOf({ ...bottleneck, shortcut: 'always' }).filter((name) =>
        /_(0|3)_\w+\/(kernel|gamma)/.test(name),
      ),
    ).toEqual([
      ...['conv2_block1_0_conv/kernel', 'conv2_block1_3_conv/kernel'],
      ...['conv2_block1_0_bn/gamma', 'conv2_block1_3_bn/gamma'],
    ])
  })

  test('numbers the norms of pre-activation blocks by the convolutions before them', () => {
    const names = namesOf({ version: 'v2', shortcut: 'always', stages: [{ blocks: 1, filters: 4 }] })
    expect(names).toEqual([
      ...['conv1_conv/kernel', ...norm('conv2_block1_preact_bn'), 'conv2_block1_1_conv/kernel'],
      ...[...norm('conv2_block1_1_bn'), 'conv2_block1_0_conv/kernel', 'conv2_block1_2_conv/kernel'],
      ...[...norm('post_bn'), 'predictions/kernel', 'predictions/bias'],
    ])
  })
})

describe.each(layouts)('%s', (layout) => {
  test.each(['resnet18', 'resnet50'])(
    'names every parameter of %s once, and is detected by its names',
    (preset) => {
      const plan = planned({ architecture: preset })
      const tensors = tensorsIn(layout, plan)
      const names = tensors.map(({ name }) => name)
      expect(new Set(names).size).toBe(names.length)
      expect(detectLayout(names)).toBe(layout)
      expect(detectLayout(['unknown', ...names.slice(-3), 'else'])).toBe(layout)
      const held = tensors.filter(({ dtype }) => dtype === 'F32').map(({ parameter }) => parameter)
      expect(new Set(held)).toEqual(new Set(plan.parameters))
      expect(layoutProblem(layout, plan)).toBeUndefined()
    },
  )
})

test('unknown names are assigned to the layout of this service', () => {
  expect([detectLayout([]), detectLayout(['weight', 'bias'])]).toEqual(['resinit', 'resinit'])
})
