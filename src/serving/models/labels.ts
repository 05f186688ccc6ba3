import imagenetLabels from './imagenet-labels.json' with { type: 'json' }
import type { Specification } from '../../network/specification.ts'

/** Class names by index, where the specification gives any. */
export function labelsOf({ labels }: Specification): readonly string[] | undefined {
  if (labels === 'none') return undefined
  return labels === 'imagenet' ? imagenetLabels : labels
}
