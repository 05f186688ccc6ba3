import type { ArchitectureRequest, SpecificationRequest } from './specification.ts'

/** A specification without required fields. */
export type PartialSpecification = Partial<SpecificationRequest>

type Given = SpecificationRequest['architecture']

/** Adds fields of an architecture without a preset and stages to another; any other replaces it. */
export function joinArchitectures(base: Given | undefined, given: ArchitectureRequest): ArchitectureRequest {
  if (base === undefined || given.preset !== undefined || given.stages !== undefined) return given
  return { ...(typeof base === 'string' ? { preset: base } : base), ...given }
}

/**
 * The specification of a file's network: the client's fields, then those of its configuration, then those inferred from
 * the tensors. An architecture without a preset and stages changes fields of the one before it.
 */
export function mergeSpecifications(
  inferred: PartialSpecification,
  fromConfig: PartialSpecification,
  given: PartialSpecification,
): PartialSpecification {
  const merged = [fromConfig, given].reduce<PartialSpecification>((base, next) => {
    const { architecture } = next
    const joined =
      typeof architecture === 'object' ? joinArchitectures(base.architecture, architecture) : architecture
    return { ...base, ...next, ...(joined !== undefined && { architecture: joined }) }
  }, inferred)
  const { architecture } = given
  const units = typeof architecture === 'object' ? architecture.head?.units : undefined
  const classes = given.classes ?? units ?? merged.classes
  // Labels of the configuration are those of its classes.
  const known = fromConfig.classes ?? inferred.classes
  const { labels, ...others } = merged
  const keepsLabels = given.labels !== undefined || known === undefined || classes === known
  return {
    ...others,
    ...(classes !== undefined && { classes }),
    ...(keepsLabels && labels !== undefined && { labels }),
  }
}
