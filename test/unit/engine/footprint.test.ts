import { expect, it } from 'vitest'
import { estimateFootprint } from '../../../src/engine/footprint.ts'
import { planRequest } from '../../../src/network/plan.ts'
import type { SpecificationRequest } from '../../../src/network/specification.ts'

const MIB = 2 ** 20
const small = (blocks: number, filters = 4) => ({
  architecture: {
    stem: { kernel_size: 3, filters, strides: 1, pool: null },
    stages: [{ blocks, filters }],
    input_shape: [8, 8, 3],
  },
  classes: 5,
})

// As an engine's anonymous memory grew by, on two cores with AVX2 (`node bench/parts/memory.mjs`).
it.each<[string, SpecificationRequest, number]>([
  ['1 block', small(1), 1.5],
  ['8 blocks', small(8), 3.6],
  ['32 blocks, the most that are halved', small(32), 12.2],
  ['64 blocks', small(64), 19.2],
  ['4 wide blocks', small(4, 256), 60.6],
  ['resnet20', { architecture: 'resnet20' }, 7.9],
  ['resnet18', { architecture: 'resnet18' }, 151],
  ['resnet50', { architecture: 'resnet50' }, 299],
  ['resnet152', { architecture: 'resnet152' }, 490],
  ["the article's", { architecture: 'residual_network' }, 505],
])('the footprint of %s is within a quarter of the measured one', (_name, request, measured) => {
  const footprint = estimateFootprint(planRequest(request, Number.MAX_SAFE_INTEGER)) / MIB
  expect(footprint / measured).toBeGreaterThan(0.75)
  expect(footprint / measured).toBeLessThan(1.25)
})

it('bfloat16 halves the memory of kernels', () => {
  const of = (precision: 'float32' | 'bfloat16') =>
    estimateFootprint(planRequest({ architecture: 'resnet50', precision }, Number.MAX_SAFE_INTEGER))
  expect(of('bfloat16') / of('float32')).toBeLessThan(0.6)
})
