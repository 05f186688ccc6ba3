import type { SpecificationRequest } from './specification.ts'

export function readModelConfig(_config: unknown, _preprocessor: unknown): Partial<SpecificationRequest> {
  return {}
}
