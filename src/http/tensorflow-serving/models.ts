import { ServiceError } from '../../errors.ts'
import type { Model } from '../../serving/model.ts'
import type { Registry } from '../../serving/registry.ts'
import { VERSION } from '../model-view.ts'
import { ModelReference, VersionedReference } from '../schemas/models.ts'

export const tags = ['tensorflow serving']

/** A path of the API without and with a version, each with the schema of its parameters; `rest` comes after it. */
export function paths(rest: string) {
  // Without the patterns a parameter would swallow the verb.
  const model = '/v1/models/:model([^/:]+)'
  return [
    { path: `${model}${rest}`, params: ModelReference },
    { path: `${model}/versions/:version([^/:]+)${rest}`, params: VersionedReference },
  ] as const
}

/** MODEL_NOT_FOUND for another version too, in TensorFlow Serving's words. */
export function findModel(registry: Registry, params: unknown): { model: Model; name: string } {
  const { model: name, version = VERSION } = params as { readonly model: string; readonly version?: string }
  const model = registry.find(name)
  if (version !== VERSION)
    throw new ServiceError(
      'MODEL_NOT_FOUND',
      `Servable not found for request: Specific(${name}, ${version}); there is only version ${VERSION}`,
    )
  return { model, name }
}
