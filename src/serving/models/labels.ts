import imagenetLabels from './imagenet-labels.json' with { type: 'json' }
import type { Specification } from '../../network/specification.ts'

/** Class names by index; undefined if the specification has none. */
export function labelsOf({ labels }: Specification): readonly string[] | undefined {
  if (labels === 'none') return undefined
  return labels === 'imagenet' ? imagenetLabels : labels
}
