import type { InitializerDefinition } from './initializer.ts'
import { fixedDefinitions } from './definitions/fixed.ts'
import { independentDefinitions } from './definitions/independent.ts'
import { orthogonalDefinitions } from './definitions/orthogonal.ts'
import { scaledDefinitions } from './definitions/scaled.ts'
import { torchDefinitions } from './definitions/torch.ts'

/** The catalogue, in listing order. */
export const definitions: readonly InitializerDefinition[] = [
  ...fixedDefinitions,
  ...independentDefinitions,
  ...scaledDefinitions,
  ...orthogonalDefinitions,
  ...torchDefinitions,
]
