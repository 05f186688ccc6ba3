import { planRequest, type Plan } from '../../../src/network/plan.ts'
import { SpecificationRequest } from '../../../src/network/specification.ts'
import { parser } from '../../../src/common/validation.ts'

const parse = parser(SpecificationRequest)

/** Plans a body as a client sends it: checked, resolved, planned. */
export function planned(body: unknown, maxParameters = 200_000_000): Plan {
  return planRequest(parse(body), maxParameters)
}

/** A small network of one stage. Fields of the architecture override its defaults. */
export function small(architecture: object = {}): Record<string, unknown> {
  return {
    ...{ stem: { kernel_size: 3, filters: 8, strides: 1, pool: null }, stages: [{ blocks: 1, filters: 8 }] },
    ...{ input_shape: [32, 32, 3], head: { units: 10 } },
    ...architecture,
  }
}
