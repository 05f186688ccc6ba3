import { describe, expect, test } from 'vitest'
import { blockMeanSquares, reluOfSum } from '../../../src/network/mean-field.ts'
import { planned, small } from '../support/requests.ts'

/** An initializer whose kernels multiply the mean square by `gain`. */
const gain = (scale: number) => ({ class_name: 'VarianceScaling', config: { scale, mode: 'fan_in' } })
const body = (architecture: object, kernel: unknown, fields: object = {}) => ({
  architecture: small({ norm: 'none', ...architecture }),
  initializers: { kernel },
  ...fields,
})
function squares(request: object) {
  const { specification, initialized } = planned(request)
  return blockMeanSquares(specification, initialized)
}
const blocks = (count: number) => ({ stages: [{ blocks: count, filters: 8 }] })

describe('E[relu(relu(u) + b)^2]', () => {
  test('is half of the other variance if one variance is 0', () => {
    expect(reluOfSum(3, 0)).toBeCloseTo(1.5, 12)
    expect(reluOfSum(0, 3)).toBeCloseTo(1.5, 12)
  })

  test('is 1 + 1 / (2 pi) for two standard normals, and scales with both', () => {
    expect(reluOfSum(1, 1)).toBeCloseTo(1 + 1 / (2 * Math.PI), 12)
    expect(reluOfSum(7, 7)).toBeCloseTo(7 * reluOfSum(1, 1), 12)
  })

  test.each([
    [1, 4],
    [5, 0.3],
  ])('equals a sum over the plane for %d and %d', (uSquare, bSquare) => {
    const step = 0.01
    let sum = 0
    for (let x = -8 + step / 2; x < 8; x += step) {
      for (let y = -8 + step / 2; y < 8; y += step) {
        const end = Math.max(0, Math.max(0, x * Math.sqrt(uSquare)) + y * Math.sqrt(bSquare))
        sum += (end ** 2 * Math.exp(-(x * x + y * y) / 2)) / (2 * Math.PI)
      }
    }
    expect(reluOfSum(uSquare, bSquare)).toBeCloseTo(sum * step * step, 3)
  })
})

describe('mean squares of sums without norms', () => {
  // A pre-activation block adds (g / 2)^m times its input's mean square.
  test.each([
    ['basic', 2, 2, 2 ** 3],
    ['basic', 3, 2, 3 * (1 + 1.5 ** 2) ** 2],
    ['bottleneck', 1, 3, 0],
  ] as const)('v2, %s, gain %d', (block, scale, convolutions, expected) => {
    const given = squares(body({ ...blocks(2), version: 'v2', block }, gain(scale)))
    const first = scale * (block === 'basic' ? 1 + (scale / 2) ** convolutions : scale / 2 + (scale / 2) ** 3)
    expect(given?.[0]).toBeCloseTo(first, 10)
    expect(given?.[1]).toBeCloseTo(expected || first * (1 + (scale / 2) ** 3), 10)
  })

  // With projections only, the sum is (g^m / 2^(m-1) + g) times the input, and a ReLU halves it.
  test('v1.5 with projections only', () => {
    const [scale, m] = [3, 2]
    const block = scale ** m / 2 ** (m - 1) + scale
    const given = squares(body({ ...blocks(3), shortcut: 'always' }, gain(scale)))
    const stem = scale / 2
    for (const [index, value] of (given ?? []).entries())
      expect(value).toBeCloseTo(stem * block * (block / 2) ** index, 8)
    expect(given).toHaveLength(3)
  })

  test('v1.5 with identities: the ReLU after each sum reduces the mean square', () => {
    // He: the mean square is 1 after the stem's ReLU, and the branch adds 2.
    const [first = 0, second = 0] = squares(body(blocks(2), 'he_normal')) ?? []
    expect(first).toBeCloseTo(3, 10)
    const behind = reluOfSum(2, 2)
    expect(second).toBeCloseTo(3 * behind, 10)
  })

  test.each(['skipinit', 'rezero', 'fixup'])("%s keeps the stem's variance", (residual_scheme) => {
    const given = squares({ ...body(blocks(9), gain(2)), residual_scheme })
    for (const value of given ?? [0]) expect(value).toBeCloseTo(1, 10)
  })

  test('are undefined for kernels with a nonzero mean', () => {
    expect(squares(body({}, 'ones'))).toBeUndefined()
  })
})

const adviceOn = (request: object) => planned(request).advice

describe('advice', () => {
  test('reports an explosion with its numbers: 2^(n + 1) for He before activation', () => {
    const request = body({ ...blocks(9), version: 'v2' }, 'he_normal')
    expect(adviceOn(request)).toEqual([
      expect.stringMatching(
        /explodes: mean-field theory gives 1\.0e\+3 times .* after 9 blocks, 2-fold a block/,
      ),
    ])
    expect(adviceOn(body({ ...blocks(3), version: 'v2' }, 'he_normal'))).toEqual([])
    expect(adviceOn({ ...request, residual_scheme: 'skipinit' }).join()).not.toContain('explodes')
    expect(adviceOn({ ...request, residual_scheme: 'lsuv' })).toEqual([])
  })

  test('reports a vanishing signal with its kernel', () => {
    // Projections only, gain 0.2: 0.1 after the stem, then a factor of (0.2^2 / 2 + 0.2) / 2 = 0.11 per block.
    const request = body({ ...blocks(2), shortcut: 'always' }, gain(0.2))
    expect(adviceOn(request)).toEqual([
      expect.stringMatching(
        /vanishes: mean-field theory leaves 2\.4e-3 of .* after 2 blocks, 0\.11-fold a block/,
      ),
    ])
    expect(adviceOn(request)[0]).toContain('multiplies the mean square by 0.1; he_normal by 1.')
    expect(adviceOn({ ...request, architecture: small({ ...blocks(2), shortcut: 'always' }) })).toEqual([])
  })

  test('reports kernels that are not scaled by a fan', () => {
    // 3x3x64x64 with variance 1: 576 times, so gradients sqrt(288) times smaller.
    const overrides = [{ match: '**/conv2/kernel', initializer: 'random_normal_initializer' }]
    const architecture = small({ stages: [{ blocks: 2, filters: 64 }] })
    expect(adviceOn({ architecture, initializers: { overrides } })).toEqual([
      'stage1/block1/conv2/kernel (RandomNormal) multiplies the mean square by 580, he_normal by 2 (1 other kernel above 100 times). Its norm compensates for that, but its gradient is 17 times smaller than with he_normal.',
    ])
  })

  test('reports filters that start equal, and those that stay equal', () => {
    const equal = (initializer: unknown, match: string) =>
      adviceOn({ architecture: small(), initializers: { overrides: [{ match, initializer }] } })
    const one = 'All filters of stage1/block1/conv1/kernel start equal'
    expect(equal('ones', '**/conv1/kernel')[0]).toBe(`${one} (Ones); a random initializer lets them differ.`)
    expect(equal('zeros', '**/conv1/kernel')[0]).toContain(
      'Zeros before a ReLU get no gradient, so they stay zero.',
    )
    // The last kernel of a branch may start at 0, because the shortcut makes the channels of the sum differ.
    expect(equal('zeros', '**/conv2/kernel')[0]).toContain('gradient of exactly 0')
  })

  test('reports the share of weights without a gradient at the first step', () => {
    const share = (silent: number, all: number) => `At the first step ${((100 * silent) / all).toFixed(1)} %`
    const stem = 3 * 3 * 3 * 8
    const convolution = 3 * 3 * 8 * 8
    const dense = 8 * 10
    const all = stem + 2 * convolution + dense
    const none = small({ norm: 'none' })
    const advice = (fields: object) => adviceOn({ initializers: { kernel: 'he_normal' }, ...fields }).join()
    for (const residual_scheme of ['skipinit', 'rezero'])
      expect(advice({ architecture: none, residual_scheme })).toContain(share(2 * convolution, all))
    expect(advice({ architecture: small(), residual_scheme: 'zero_gamma' })).toContain(
      share(2 * convolution, all),
    )
    const fixup = { architecture: none, residual_scheme: 'fixup' }
    expect(advice(fixup)).toContain(share(stem + 2 * convolution, all))
    const initializers = { kernel: 'he_normal', dense_kernel: 'he_normal' }
    expect(advice({ ...fixup, initializers })).toContain(share(convolution, all))
    expect(advice({ architecture: small() })).toBe('')
  })

  test.each([
    ['the stem', { kernel: 'zeros' }],
    ['the stem', { gamma: 'zeros' }],
    ['stage2/block1', { overrides: [{ match: 'stage2/**/gamma', initializer: 'zeros' }] }],
  ])('reports that the output of %s is zero', (where, initializers) => {
    const [said, ...more] = adviceOn({ architecture: 'resnet18', initializers }).filter(
      (item) => item.includes('always zero') || item.includes('gradient of exactly 0'),
    )
    expect(said).toContain(`The output of ${where} is always zero, so no kernel has a gradient`)
    expect(more.join()).not.toContain('gradient of exactly 0')
  })

  test('is 81.1 % for ResNet-50 with zero_gamma', () => {
    // Branches hold 20.7 of its 25.5 million kernel weights.
    const inner = [64, 128, 256, 512]
    const branches = inner.flatMap((n, stage) =>
      Array.from({ length: [3, 4, 6, 3][stage] ?? 0 }, (_, block) => {
        const enters = block > 0 ? 4 * n : stage === 0 ? 64 : 2 * n
        return enters * n + 9 * n * n + 4 * n * n
      }),
    )
    const silent = branches.reduce((sum, size) => sum + size, 0)
    const projections = 64 * 256 + 256 * 512 + 512 * 1024 + 1024 * 2048
    const share = (100 * silent) / (silent + projections + 49 * 3 * 64 + 2048 * 1000)
    expect(share).toBeCloseTo(81.1, 1)
    expect(adviceOn({ architecture: 'resnet50', residual_scheme: 'zero_gamma' })).toEqual([
      `At the first step ${share.toFixed(1)} % of the kernels' weights have a gradient of exactly 0, because their branches end in zeros; the zero parameters are updated first.`,
    ])
  })

  test('reports layers that share a seed and a distribution', () => {
    const seeded = (class_name: string) => ({ class_name, config: { seed: 3 } })
    const shared = (first: object, second: object) =>
      adviceOn({
        architecture: small(),
        initializers: {
          overrides: [
            { match: '**/conv1/kernel', initializer: first },
            { match: '**/conv2/kernel', initializer: second },
          ],
        },
      })
    expect(shared(seeded('HeNormal'), seeded('GlorotNormal'))).toEqual([
      'stage1/block1/conv1/kernel, stage1/block1/conv2/kernel draw from one seed, [3, 0], and so get the same numbers, up to scale; without "seed" each has its own.',
    ])
    expect(shared(seeded('HeNormal'), seeded('HeUniform'))).toEqual([])
    const all = adviceOn({ architecture: small(), initializers: { kernel: seeded('HeNormal') } })
    expect(all).toEqual([expect.stringContaining('where shapes agree, correlated ones elsewhere')])
  })
})
