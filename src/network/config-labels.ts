import { createHash } from 'node:crypto'
import type { ConfigFields } from './config-fields.ts'
import type { SpecificationRequest } from './specification.ts'

/** SHA-256 of the ImageNet labels of this service, joined by line feeds. */
const IMAGENET_LABELS_SHA256 = 'ebb1e26fe65f59669fedf81b456d6f46410da85a5918db5c9f5c314fa8ceebb1'

const MAX_LABELS = 1_000_000
const MAX_LABEL = 256

/**
 * The labels of a list, or of a record by index; ImageNet's by their name. Undefined if they are names without a
 * meaning, such as LABEL_0.
 */
export function readLabels(config: ConfigFields, field: string): SpecificationRequest['labels'] {
  const value = config.get(field)
  if (typeof value !== 'object' || value === null) return undefined
  const entries = Object.entries(value)
  if (entries.length === 0 || entries.length > MAX_LABELS) return undefined
  const byIndex = new Map<string, unknown>(entries)
  const labels = entries.map((_, index) => {
    const label = byIndex.get(String(index))
    if (typeof label === 'string' && label.length <= MAX_LABEL && label.isWellFormed()) return label
    return config.fail(
      field,
      `must have a text of at most ${String(MAX_LABEL)} characters for class ${String(index)}`,
    )
  })
  if (labels.every((label, index) => label === `LABEL_${String(index)}`)) return undefined
  const digest = createHash('sha256').update(labels.join('\n')).digest('hex')
  return digest === IMAGENET_LABELS_SHA256 ? 'imagenet' : labels
}
