import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { PythonRandom } from '../../../src/initializers/mersenne-twister.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned, small } from '../support/requests.ts'

interface Golden {
  readonly seed: number
  readonly ResNet50: Readonly<Record<string, number>>
  readonly ResNet50V2: Readonly<Record<string, number>>
}
const file = new URL('../../golden/vectors/keras_seeds.json', import.meta.url)
const golden = JSON.parse(readFileSync(file, 'utf8')) as Golden

/** Seeds by Keras's layer name. */
function kernelSeeds(architecture: string, seed: number): Record<string, number> {
  const { initialized } = planned({ architecture, seeding: 'keras', seed })
  const kernels = initialized.filter(({ role }) => role === 'kernel')
  return Object.fromEntries(
    kernels.map(({ name, seed: [drawn, draw] }) => {
      expect(draw).toBe(0)
      const [, stage, block, layer] = /^stage(\d)\/block(\d+)\/(.+)\/kernel$/.exec(name) ?? []
      if (layer === undefined) return [name.startsWith('stem') ? 'conv1_conv' : 'predictions', drawn]
      const number = layer === 'shortcut/conv' ? '0' : layer.replace('conv', '')
      return [`conv${String(Number(stage) + 1)}_block${String(block)}_${number}_conv`, drawn]
    }),
  )
}

/** For each parameter the index of its number in Python's sequence, from 0; null if it uses none. */
function drawsOf(body: object): Record<string, number | null> {
  const random = new PythonRandom(7)
  const sequence = Array.from({ length: 100 }, () => random.integer(1, 10 ** 9))
  const { initialized } = planned({ ...body, seeding: 'keras', seed: 7 })
  return Object.fromEntries(
    initialized.map(({ name, seed: [drawn] }) => [name, drawn === 0 ? null : sequence.indexOf(drawn)]),
  )
}

describe('"seeding": "keras"', () => {
  test.each([
    ['resnet50_v1', golden.ResNet50],
    ['resnet50_v2', golden.ResNet50V2],
  ])('%s has the seeds of keras.applications', (architecture, wanted) => {
    expect(kernelSeeds(architecture, golden.seed)).toEqual(wanted)
  })

  const everything = {
    bias: 'random_normal',
    beta: 'random_normal',
    gamma: { class_name: 'Constant', config: { value: 2 } },
  }
  test('draws for each initializer that draws, kernel before bias, the shortcut before the branch', () => {
    const architecture = small({
      stages: [{ blocks: 1, filters: 4 }],
      shortcut: 'always',
      use_bias: true,
      padding: 'symmetric',
    })
    const draws = drawsOf({ architecture, initializers: everything })
    const order = ['stem/conv', 'stem/norm', 'stage1/block1/shortcut/conv', 'stage1/block1/shortcut/norm']
      .concat(['conv1', 'norm1', 'conv2', 'norm2'].map((layer) => `stage1/block1/${layer}`))
      .concat('head/dense')
    const drawing = order.flatMap((layer) =>
      layer.includes('norm') ? [`${layer}/beta`] : [`${layer}/kernel`, `${layer}/bias`],
    )
    expect(drawing.map((name) => draws[name])).toEqual(drawing.map((_, index) => index))
    expect(draws['stem/norm/gamma']).toBeNull()
  })

  test('constructs a pre-activation block as norm, shortcut, branch', () => {
    const architecture = small({ version: 'v2', shortcut: 'always' })
    const draws = drawsOf({ architecture, initializers: { gamma: 'random_uniform' } })
    const block = ['norm1/gamma', 'shortcut/conv/kernel', 'conv1/kernel', 'norm2/gamma', 'conv2/kernel']
    const order = ['stem/conv/kernel', ...block.map((name) => `stage1/block1/${name}`)]
    expect([...order, 'head/norm/gamma', 'head/dense/kernel'].map((name) => draws[name])).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7,
    ])
  })

  test('draws nothing for initializers with a seed, or without draws', () => {
    const overrides = [
      { match: 'stage1/**/conv1/kernel', initializer: { class_name: 'HeNormal', config: { seed: 5 } } },
      { match: 'stage1/**/conv2/kernel', initializer: 'zeros' },
    ]
    const { initialized } = planned({
      ...{ architecture: small(), initializers: { overrides } },
      ...{ seeding: 'keras', seed: 7 },
    })
    const seeds = Object.fromEntries(initialized.map(({ name, seed }) => [name, seed]))
    expect(seeds['stage1/block1/conv1/kernel']).toEqual([5, 0])
    expect(seeds['stem/conv/kernel']).toEqual([347712783, 0])
    expect(seeds['head/dense/kernel']).toEqual([161973070, 0])
  })

  test.each([-1, 2 ** 32])('rejects the seed %d, as set_random_seed does', (seed) => {
    const error = refusal(() => planned({ architecture: small(), seeding: 'keras', seed }))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/seed'])
    expect(error.message).toContain('must be 0 to 4294967295')
    expect(planned({ architecture: small(), seed }).specification.seed).toBe(seed)
  })

  test('accepts the smallest and the largest seed', () => {
    for (const seed of [0, 2 ** 32 - 1])
      expect(planned({ architecture: small(), seeding: 'keras', seed }).specification.seed).toBe(seed)
  })
})
