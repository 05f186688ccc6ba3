import { ServiceError } from '../errors.ts'
import type { Model } from '../serving/model.ts'
import type { Registry } from '../serving/registry.ts'
import { ModelReference, VersionedReference } from './schemas/models.ts'

/** There is one version of every model: a model is its recipe. */
export const VERSION = '1'

/** A model's path without and with a version, `rest` after it; what an operationId calls each; the schema of its parameters. */
export function versionedPaths(model: string, version: string, rest: string) {
  return [
    { path: `${model}${rest}`, subject: 'Model', params: ModelReference },
    {
      path: `${model}/versions/${version}${rest}`,
      subject: 'ModelVersion',
      params: VersionedReference,
    },
  ] as const
}

/** MODEL_NOT_FOUND for another version too, in a protocol's own words. */
export function findVersion(
  registry: Registry,
  params: unknown,
  refusal: (name: string, version: string) => string,
): { model: Model; name: string } {
  const { model: name, version = VERSION } = params as { readonly model: string; readonly version?: string }
  const model = registry.find(name)
  if (version !== VERSION)
    throw new ServiceError('MODEL_NOT_FOUND', `${refusal(name, version)}; there is only version ${VERSION}`)
  return { model, name }
}
