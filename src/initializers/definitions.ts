import type { InitializerDefinition } from './initializer.ts'
import { fixedDefinitions } from './definitions/fixed.ts'
import { independentDefinitions } from './definitions/independent.ts'
import { orthogonalDefinitions } from './definitions/orthogonal.ts'
import { scaledDefinitions } from './definitions/scaled.ts'
import { torchDefinitions } from './definitions/torch.ts'

/** All initializers, in the order of the catalogue. */
export const definitions: readonly InitializerDefinition[] = [
  ...fixedDefinitions,
  ...independentDefinitions,
  ...scaledDefinitions,
  ...orthogonalDefinitions,
  ...torchDefinitions,
]
