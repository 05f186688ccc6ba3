import { describe, expect, test } from 'vitest'
import { scaled, theoryOf, type Law } from '../../../src/initializers/law.ts'
import { initializeParameters } from '../../../src/network/parameters.ts'
import type { Plan } from '../../../src/network/plan.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'
import { planned, small } from '../support/requests.ts'

const STAGES = [
  { blocks: 2, filters: 8 },
  { blocks: 3, filters: 16, strides: 2 },
]
const plan = (residual_scheme: string, architecture: object = {}, fields: object = {}) =>
  planned({ architecture: small({ stages: STAGES, ...architecture }), residual_scheme, ...fields })

/** The trainable parameters of a block, without its name. */
const inBlock = ({ initialized }: Plan, block: string) =>
  initialized
    .filter(({ name }) => name.startsWith(`${block}/`))
    .map(({ name }) => name.slice(block.length + 1))

const lawsOf = ({ initialized }: Plan) => new Map(initialized.map(({ name, law }) => [name, law]))
const ZERO: Law = { kind: 'constant', value: 0 }
const ONE: Law = { kind: 'constant', value: 1 }

describe('a residual scheme', () => {
  test.each([
    ['zero_gamma', { norm: 'none' }, '"norm": "batch"'],
    ['fixup', {}, '"norm": "none"'],
    ['skipinit', {}, '"norm": "none"'],
    ['rezero', {}, '"norm": "none"'],
    ['lsuv', {}, 'a norm removes the scale of the kernel before it'],
    ['zero_gamma', { version: 'v2' }, '"version": "v1" or "v1.5"'],
    ['fixup', { version: 'v2', norm: 'none' }, '"version": "v1" or "v1.5"'],
  ])('%s with %j is rejected with the reason and the cure', (scheme, architecture, words) => {
    const error = refusal(() => plan(scheme, architecture))
    expect(codeAndPointers(error)).toEqual(['INVALID_REQUEST', '#/residual_scheme'])
    expect(error.message).toContain(words)
    expect(error.message).toMatch(/arXiv:\d{4}\.\d{5}/)
  })

  test('that is unknown is rejected with the nearest name', () => {
    expect(refusal(() => plan('fix_up')).message).toContain('did you mean "fixup"?')
  })

  test('changes the id; none is omitted from it', () => {
    const ids = ['none', 'skipinit', 'rezero', 'fixup', 'lsuv'].map(
      (scheme) => plan(scheme, { norm: 'none' }).id,
    )
    expect(new Set(ids).size).toBe(ids.length)
    expect(plan('none').id).toBe(planned({ architecture: small({ stages: STAGES }) }).id)
  })
})

describe('zero_gamma', () => {
  test.each([
    [{}, 'norm2'],
    [{ block: 'bottleneck' }, 'norm3'],
  ])("%j: zeroes the gamma of each branch's last norm and no other", (architecture, last) => {
    for (const [name, law] of lawsOf(plan('zero_gamma', architecture)))
      if (name.endsWith('/gamma')) expect(law, name).toEqual(name.endsWith(`${last}/gamma`) ? ZERO : ONE)
  })

  test('replaces the general gamma, and an override replaces it', () => {
    const overrides = [{ match: 'stage1/block1/norm2/gamma', initializer: 'ones' }]
    const laws = lawsOf(plan('zero_gamma', {}, { initializers: { gamma: 'random_uniform', overrides } }))
    expect(laws.get('stage1/block1/norm1/gamma')?.kind).toBe('uniform')
    expect(laws.get('stage1/block1/norm2/gamma')).toEqual(ONE)
    expect(laws.get('stage1/block2/norm2/gamma')).toEqual(ZERO)
  })
})

describe('fixup', () => {
  const none = { norm: 'none' }

  test("has its authors' scalars, and no bias except the dense one", () => {
    const basic = plan('fixup', none)
    expect(inBlock(basic, 'stage1/block1')).toEqual([
      ...['shift1a/offset', 'conv1/kernel', 'shift1b/offset', 'shift2a/offset', 'conv2/kernel'],
      ...['scale/multiplier', 'shift2b/offset'],
    ])
    const deep = plan('fixup', { ...none, block: 'bottleneck' })
    expect(inBlock(deep, 'stage2/block1')).toEqual([
      ...[
        'shift1a/offset',
        'conv1/kernel',
        'shift1b/offset',
        'shift2a/offset',
        'conv2/kernel',
        'shift2b/offset',
      ],
      ...['shift3a/offset', 'conv3/kernel', 'scale/multiplier', 'shift3b/offset', 'shortcut/conv/kernel'],
    ])
    const names = basic.initialized.map(({ name }) => name)
    expect(names.slice(0, 2)).toEqual(['stem/conv/kernel', 'stem/shift/offset'])
    expect(names.slice(-3)).toEqual(['head/shift/offset', 'head/dense/kernel', 'head/dense/bias'])
    expect(names.filter((name) => name.endsWith('/bias'))).toEqual(['head/dense/bias'])
  })

  // L = 5 blocks: 5^(-1/2) for two convolutions, 5^(-1/4) for three.
  test.each([
    [{}, 5 ** -0.5],
    [{ block: 'bottleneck' }, 5 ** -0.25],
  ])('%j: multiplies He by fan_out by L^(-1/(2m-2)) in branches', (architecture, factor) => {
    const { initialized } = plan('fixup', { ...none, ...architecture })
    const last = 'block' in architecture ? 'conv3' : 'conv2'
    for (const { name, law, shape, factor: own } of initialized) {
      if (!name.endsWith('/kernel')) continue
      const [size = 0, , , filters = 0] = shape
      const std = Math.sqrt(2 / (size * size * filters))
      const inBranch = /block\d\/conv/.test(name)
      if (name.includes(`/${last}/`) || name.startsWith('head')) expect([name, law]).toEqual([name, ZERO])
      else
        expect([name, law]).toEqual([name, { kind: 'normal', mean: 0, std: inBranch ? std * factor : std }])
      expect(own).toBe(inBranch && !name.includes(`/${last}/`) ? factor : undefined)
    }
  })

  test('scales named kernels, and keeps an override as a whole', () => {
    const overrides = [{ match: 'stage1/**/conv*/kernel', initializer: 'lecun_normal' }]
    const initializers = { kernel: 'glorot_uniform', dense_kernel: 'he_normal', overrides }
    const { initialized, specification } = plan('fixup', none, { initializers })
    const about = new Map(initialized.map((one) => [one.name, [one.initializer.class_name, one.factor]]))
    expect(specification.initializers.kernel.class_name).toBe('GlorotUniform')
    expect(about.get('stage1/block1/conv1/kernel')).toEqual(['LecunNormal', undefined])
    expect(about.get('stage1/block1/conv2/kernel')).toEqual(['LecunNormal', undefined])
    expect(about.get('stage2/block1/conv1/kernel')).toEqual(['GlorotUniform', 5 ** -0.5])
    expect(about.get('stage2/block1/conv2/kernel')).toEqual(['Zeros', undefined])
    expect(about.get('head/dense/kernel')).toEqual(['HeNormal', undefined])
  })
})

describe('skipinit and rezero', () => {
  test.each(['v1.5', 'v2'])('%s: end each branch with a multiplier of 0', (version) => {
    for (const scheme of ['skipinit', 'rezero']) {
      const laws = lawsOf(plan(scheme, { norm: 'none', version }))
      const multipliers = [...laws].filter(([name]) => name.endsWith('/scale/multiplier'))
      expect(multipliers).toHaveLength(5)
      for (const [, law] of multipliers) expect(law).toEqual(ZERO)
      expect([...laws.keys()].some((name) => name.endsWith('/offset'))).toBe(false)
    }
  })

  const order = (scheme: string, version: string) =>
    plan(scheme, { norm: 'none', version }).layers.flatMap(
      ({ name }) => name.split('stage1/block1/')[1] ?? [],
    )

  test('differ in blocks that end in a ReLU: rezero has it in the branch', () => {
    const convolutions = ['conv1', 'relu1', 'conv2']
    expect(order('skipinit', 'v1.5')).toEqual([...convolutions, 'scale', 'add', 'relu'])
    expect(order('rezero', 'v1.5')).toEqual([...convolutions, 'relu2', 'scale', 'add'])
    expect(order('skipinit', 'v2')).toEqual(order('rezero', 'v2'))
  })
})

describe('lsuv', () => {
  test('starts orthogonal, unless kernels are named', () => {
    expect(plan('lsuv', { norm: 'none' }).specification.initializers.kernel.class_name).toBe('Orthogonal')
    const initializers = { kernel: 'he_normal' }
    const { specification } = plan('lsuv', { norm: 'none' }, { initializers })
    expect(specification.initializers.kernel.class_name).toBe('HeNormal')
  })

  test('multiplies laws by the factors that were measured', () => {
    const { parameters, specification } = plan('lsuv', { norm: 'none' })
    const factors = { 'stage1/block1/conv1/kernel': 1.5 }
    const [given] = initializeParameters(parameters, specification, factors).filter(
      ({ factor }) => factor !== undefined,
    )
    expect(given).toMatchObject({ name: 'stage1/block1/conv1/kernel', factor: 1.5, law: { gain: 1.5 } })
  })
})

describe('a scaled law', () => {
  test.each<Law>([
    { kind: 'constant', value: 0.7 },
    { kind: 'uniform', low: -0.1, high: 0.4 },
    { kind: 'normal', mean: 0.3, std: 0.2 },
    { kind: 'truncated_normal', mean: -0.3, std: 0.2 },
    { kind: 'orthogonal', gain: 1.1 },
    { kind: 'identity', gain: 1.1 },
  ])('$kind has the mean times the factor and the variance times its square', (law) => {
    const [plain, times] = [law, scaled(law, 2.5)].map((one) => theoryOf(one, [6, 4]))
    expect(times?.mean).toBeCloseTo(2.5 * (plain?.mean ?? NaN), 12)
    expect(times?.variance).toBeCloseTo(6.25 * (plain?.variance ?? NaN), 12)
    expect(times?.kurtosis).toBe(plain?.kurtosis)
  })
})
