import { describe, expect, test } from 'vitest'
import { layoutProblem, layouts } from '../../../src/network/layouts.ts'
import type { FoundTensor } from '../../../src/network/locate-network.ts'
import { matchWeights, type LoadOptions } from '../../../src/network/match-weights.ts'
import type { Plan } from '../../../src/network/plan.ts'
import { refusal } from '../support/errors.ts'
import { planned } from '../support/requests.ts'
import { fileOf, kerasFile, torchvisionFile, withClasses } from '../support/weights-files.ts'

const DEFAULTS: LoadOptions = { missing: 'error', extra: 'error', prefix: 'auto' }
const match = (file: readonly FoundTensor[], plan: Plan, options: Partial<LoadOptions> = {}) =>
  matchWeights(file, plan, { ...DEFAULTS, ...options })
const refused = (file: readonly FoundTensor[], plan: Plan, options: Partial<LoadOptions> = {}) =>
  refusal(() => match(file, plan, options))
const f32 = (name: string, ...shape: number[]): FoundTensor => ({ name, dtype: 'F32', shape })
const HEAD = ['head/dense/kernel', 'head/dense/bias']
const resnet18 = planned({ architecture: 'resnet18' })

describe.each(['resnet18', 'resnet50', 'resnet50_v1', 'resnet50_v2', 'resnet20'])('%s', (architecture) => {
  const plan = planned({ architecture })

  test.each(
    layouts.flatMap((layout) =>
      ['', 'module.', 'module._orig_mod.', 'backbone.', 'net/'].map((prefix) => [layout, prefix] as const),
    ),
  )('matches the names of %s after "%s"', (layout, prefix) => {
    if (layoutProblem(layout, plan) !== undefined) return
    const file = fileOf(plan, layout, prefix)
    const matched = match(file, plan)
    expect(matched).toMatchObject({ names: layout, prefix, dtypes: ['F32'], initialized: [], ignored: [] })
    expect(matched.tensors.map(({ parameter }) => parameter)).toEqual(plan.parameters)
    const shapes = new Map(file.map(({ name, shape }) => [name, shape]))
    for (const { parameter, source = '', axes } of matched.tensors)
      expect(shapes.get(source)).toEqual(axes.map((axis) => parameter.shape[axis]))
    expect(match(file, plan, { prefix })).toEqual(matched)
  })

  test('a dense layer of another shape is drawn, and nothing else', () => {
    const file = fileOf(plan, 'resinit', 'm.')
    const tuned = planned({ architecture, classes: 3 })
    const matched = match(file, tuned, { missing: 'initialize' })
    expect(matched.initialized).toEqual(HEAD)
    expect(matched.ignored).toEqual(HEAD.map((name) => `m.${name}`))
    const error = refused(file, tuned)
    expect(error.message).toMatch(/"classes": \d+ takes the file's dense layer.*"missing": "initialize"/)
    expect(error.errors.slice(1).map(({ pointer }) => pointer)).toEqual([
      '#/weights/m.head~1dense~1kernel',
      '#/weights/m.head~1dense~1bias',
    ])
  })
})

describe('files of other frameworks', () => {
  test.each([
    [torchvisionFile('resnet18'), 'resnet18'],
    [torchvisionFile('resnet50'), 'resnet50'],
    [kerasFile('ResNet50'), 'resnet50_v1'],
    [kerasFile('ResNet50V2'), 'resnet50_v2'],
  ])('%#', (file, architecture) => {
    const plan = planned({ architecture })
    expect(match(file, plan).tensors).toHaveLength(plan.parameters.length)
    expect(match(withClasses(file, 1000, 5), planned({ architecture, classes: 5 })).initialized).toEqual([])
  })

  test('counters of batches are optional', () => {
    const file = torchvisionFile('resnet18')
    const others = file.filter(({ name }) => !name.endsWith('num_batches_tracked'))
    expect(match(others, resnet18)).toEqual(match(file, resnet18))
  })
})

describe('prefixes', () => {
  const body = torchvisionFile('resnet18').map((tensor) =>
    tensor.name.startsWith('fc.') ? tensor : { ...tensor, name: `model.backbone.${tensor.name}` },
  )

  test.each(['', 'model.', 'model.backbone.'])('the dense layer may lie at "%s"', (prefix) => {
    const file = body.map((tensor) =>
      tensor.name.startsWith('fc.') ? { ...tensor, name: prefix + tensor.name } : tensor,
    )
    expect(match(file, resnet18)).toMatchObject({ prefix: 'model.backbone.', initialized: [] })
  })

  test("transformers' base model and wrapped models", () => {
    const file = fileOf(resnet18, 'transformers')
    expect(match(file, resnet18).prefix).toBe('')
    const base = file.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^resnet\./, '') }))
    expect(match(base, resnet18).prefix).toBe('')
    expect(match(fileOf(resnet18, 'transformers', 'module.'), resnet18, { prefix: 'module' }).prefix).toBe(
      'module.',
    )
  })

  test('a given prefix selects one of two networks', () => {
    const file = [...fileOf(resnet18, 'torchvision', 'q.'), ...fileOf(resnet18, 'torchvision', 'k.')]
    const matched = match(file, resnet18, { prefix: 'k.', extra: 'ignore' })
    expect(matched.tensors.every(({ source }) => source?.startsWith('k.'))).toBe(true)
    expect(matched.ignored).toHaveLength(resnet18.parameters.length)
    expect(refused(file, resnet18, { prefix: 'other.' }).message).toMatch(/"prefix": "auto"/)
    expect(refused(file, resnet18, { prefix: '' }).message).toMatch(/prefix ""/)
  })
})

describe('differences', () => {
  const file = torchvisionFile('resnet18')

  test('another depth: the score, the names that were tried, and the architecture of the file', () => {
    const error = refused(torchvisionFile('resnet50'), resnet18)
    expect(error.code).toBe('INVALID_WEIGHTS')
    expect(error.message).toMatch(
      /\d+ of 102 tensors match the names of torchvision and timm without a prefix/,
    )
    expect(error.message).toMatch(
      /names tried: this service 0, torchvision and timm 265, Keras applications 0/,
    )
    expect(error.message).toMatch(/"architecture": "resnet50"/)
    expect(error.errors).toHaveLength(21)
  })

  test('names that the network does not have', () => {
    const error = refused(torchvisionFile('resnet50'), planned({ architecture: 'resnet50_v2' }))
    expect(error.message).toMatch(
      /this network has v2; the file's tensors are those of "architecture": "resnet50"/,
    )
  })

  test('missing tensors are drawn on demand', () => {
    const fewer = file.filter(({ name }) => name !== 'layer1.0.bn1.bias')
    const error = refused(fewer, resnet18)
    expect(error.message).toMatch(/1 missing.*"load": \{"missing":"initialize"\}/)
    expect(error.errors[1]).toEqual({
      pointer: '#/weights/layer1.0.bn1.bias',
      detail: 'is missing; [64] is expected',
    })
    const matched = match(fewer, resnet18, { missing: 'initialize' })
    expect(matched.initialized).toEqual(['stage1/block1/norm1/beta'])
  })

  test('surplus tensors are ignored on demand', () => {
    const more = [...file, f32('aux.weight', 2)]
    expect(refused(more, resnet18).message).toMatch(/"load": \{"extra":"ignore"\}/)
    expect(match(more, resnet18, { extra: 'ignore' }).ignored).toEqual(['aux.weight'])
  })

  test('the body has the shapes and float dtypes of the network', () => {
    const changed = (fields: Partial<FoundTensor>) =>
      file.map((tensor) => (tensor.name === 'layer1.0.conv1.weight' ? { ...tensor, ...fields } : tensor))
    const options = { missing: 'initialize', extra: 'ignore' } as const
    expect(refused(changed({ shape: [64, 2, 3, 3] }), resnet18, options).message).toMatch(
      /grouped convolution/,
    )
    expect(refused(changed({ dtype: 'I8' }), resnet18, options).errors[1]?.detail).toMatch(/got I8/)
    expect(match(changed({ dtype: 'BF16' }), resnet18).dtypes).toEqual(['BF16', 'F32'])
    expect(refused([f32('fc.weight', 1000, 512)], resnet18, options).message).toMatch(
      /no residual network's names/,
    )
  })
})

test.each([
  ['random', (n: number) => `${'segment.'.repeat(150)}tensor${String(n)}`],
  ['separators', (n: number) => `${'./'.repeat(700)}${String(n)}`],
  ['prefixes', (n: number) => `${'a.'.repeat(100)}${String(n)}.conv1.weight`],
  ['records', (n: number) => (n % 2 ? '__proto__' : `constructor.${String(n)}.layer1.0.conv1.weight`)],
])('10,000 tensors with long names are matched in time: %s', (_, name) => {
  const hostile = Array.from({ length: 10_000 }, (__, n) => f32(name(n), 1))
  const file = [...torchvisionFile('resnet18'), ...hostile]
  const before = performance.now()
  expect(match(file, resnet18, { extra: 'ignore' }).initialized).toEqual([])
  expect(refused(hostile, resnet18).errors.length).toBeLessThanOrEqual(21)
  expect(performance.now() - before).toBeLessThan(1500)
})
