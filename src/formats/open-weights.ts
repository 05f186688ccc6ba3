import { fieldError } from '../common/errors.ts'
import { openSafetensors } from './safetensors.ts'
import type { WeightsFile, WeightsPart } from './weights-file.ts'

/** Opens weights of any format. Throws INVALID_WEIGHTS at `#/weights`. The caller closes the file. */
export async function openWeightsFile(parts: readonly WeightsPart[]): Promise<WeightsFile> {
  const [part, ...more] = parts
  if (part === undefined || more.length > 0)
    throw fieldError('#/weights', 'must be one file', 'INVALID_WEIGHTS')
  const file = await openSafetensors(part.path)
  return { ...file, format: 'safetensors' }
}
