import { fieldError } from '../common/errors.ts'
import type { FoundTensor } from './match-weights.ts'
import type { SpecificationRequest } from './specification.ts'

export function inferSpecification(_found: readonly FoundTensor[], _prefix: string): SpecificationRequest {
  throw fieldError('#/spec', 'is required', 'INVALID_WEIGHTS')
}
