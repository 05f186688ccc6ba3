import { fieldError } from '../../common/errors.ts'
import type { Specification } from '../../network/specification.ts'
import imagenet from './imagenet-labels.json' with { type: 'json' }

/** The classes of CIFAR-10 (Krizhevsky 2009), in the order of its label files. */
const cifar10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split(' ')
const labelSets = { imagenet, cifar10 } as const

/** Names of label sets that a prediction request may select. */
export const labelSetNames = ['imagenet', 'cifar10', 'none'] as const
export type LabelSetName = (typeof labelSetNames)[number]

/** Class names by index; undefined if the specification has none. */
export function labelsOf({ labels }: Specification): readonly string[] | undefined {
  if (labels === 'none') return undefined
  return labels === 'imagenet' ? imagenet : labels
}

/**
 * The class names that a request selects, or the specification's without a selection. Throws INVALID_REQUEST if the
 * number of classes differs.
 */
export function selectLabels(
  specification: Specification,
  selected: LabelSetName | undefined,
): readonly string[] | undefined {
  if (selected === undefined) return labelsOf(specification)
  if (selected === 'none') return undefined
  const labels = labelSets[selected]
  if (labels.length === specification.classes) return labels
  throw fieldError(
    '#/labels',
    `${selected} has ${String(labels.length)} classes, this model has ${String(specification.classes)}; omit it, or use "none"`,
  )
}
