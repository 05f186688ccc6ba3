import fc from 'fast-check'
import { schemeNames } from '../../../src/network/schemes.ts'

const size = (max: number) => fc.integer({ min: 1, max })
const fields = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { requiredKeys: [] })

const padding = fc.constantFrom('same', 'symmetric')
const pool = fields({
  ...{ type: fc.constantFrom('max', 'average'), size: size(4), strides: size(3) },
  padding: fc.constantFrom('same', 'symmetric', 'valid'),
})
/** Mostly valid values, so that most requests are planned. */
const mostly = <T, U>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<U>) =>
  fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: rare })

const rule = mostly(fc.constantFrom('projection', 'pool', 'always'), fc.constant('never'))
const stage = fc.record(
  { blocks: size(3), filters: size(12), strides: size(3) },
  { requiredKeys: ['blocks', 'filters'] },
)

const seed = fc.oneof(fc.constant(null), fc.maxSafeInteger(), fc.tuple(fc.maxSafeInteger(), fc.nat(99)))
const named = fc.constantFrom(
  'zeros',
  'ones',
  'he_normal',
  'xavier_initializer',
  'truncated_normal_initializer',
)
const initializer = fc.oneof(
  mostly(named, fc.constantFrom('orthogonal', 'identity', 'he_nromal')),
  fc.record({
    class_name: fc.constant('VarianceScaling'),
    config: fields({
      ...{
        scale: fc.double({ min: 0.1, max: 9, noNaN: true }),
        mode: fc.constantFrom('fan_in', 'fan_out', 'fan_avg'),
      },
      ...{
        distribution: fc.constantFrom('truncated_normal', 'untruncated_normal', 'uniform', 'normal'),
        seed,
      },
    }),
  }),
)
const match = mostly(
  fc.constantFrom('**', '**/kernel', 'stage1/**', '*/dense/*'),
  fc.constantFrom('stage2/**/bias', 'x'),
)

const architecture = fc.record(
  {
    version: fc.constantFrom('v1', 'v1.5', 'v2'),
    block: fc.constantFrom('basic', 'bottleneck'),
    expansion: size(5),
    stem: fields({
      ...{ kernel_size: size(7), filters: size(12), strides: size(3), padding },
      pool: fc.option(pool),
    }),
    stages: fc.array(stage, { minLength: 1, maxLength: 4 }),
    kernel_size: size(5),
    padding,
    shortcut: mostly(rule, fc.array(rule, { minLength: 1, maxLength: 4 })),
    use_bias: fc.constantFrom(true, false, 'unnormed'),
    strides_in: fc.constantFrom('first', 'last'),
    norm: fc.oneof(
      fc.constantFrom('batch', 'none'),
      fields({ type: fc.constantFrom('batch', 'none'), epsilon: fc.constant(0.01) }),
    ),
    head: fields({
      pool: mostly(fc.constant('global_average'), pool),
      units: mostly(fc.constant(10), size(12)),
    }),
    input_shape: fc.tuple(size(40), size(40), mostly(fc.constant(3), size(4))),
  },
  { requiredKeys: ['stages'] },
)

/** Bodies that satisfy the schema. Their fields may contradict each other. */
export const specificationRequests = fc.record(
  {
    architecture,
    classes: mostly(fc.constant(10), size(12)),
    initializers: fields({
      ...{
        kernel: initializer,
        bias: initializer,
        gamma: initializer,
        stem_kernel: initializer,
        dense_bias: initializer,
      },
      overrides: fc.array(fc.record({ match, initializer }), { maxLength: 3 }),
    }),
    seed: mostly(fc.nat(), fc.maxSafeInteger()),
    seeding: fc.constantFrom('per_layer', 'keras'),
    residual_scheme: fc.constantFrom('none', 'none', ...schemeNames),
    labels: mostly(fc.constant('none'), fc.constant('imagenet')),
    preprocessing: fc.oneof(
      fc.constantFrom('torch', 'none', 'tf'),
      fields({ scale: fc.constant(2), std: fc.constant([1, 2, 3]) }),
    ),
  },
  { requiredKeys: ['architecture'] },
)
