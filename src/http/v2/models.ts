import { ServiceError } from '../../errors.ts'
import type { Model } from '../../serving/model.ts'
import type { Registry } from '../../serving/registry.ts'
import { VERSION } from '../model-view.ts'
import { ModelReference, VersionedReference } from '../schemas/models.ts'

export const tags = ['open inference']

interface Reference {
  readonly model: string
  readonly version?: string
}

/** A path of the protocol without and with a version, `rest` after it, each with the schema of its parameters. */
export function paths(rest: string) {
  return [
    { path: `/v2/models/:model${rest}`, params: ModelReference },
    { path: `/v2/models/:model/versions/:version${rest}`, params: VersionedReference },
  ] as const
}

/** MODEL_NOT_FOUND for another version too. */
export function findModel(registry: Registry, params: unknown): { model: Model; name: string } {
  const { model: name, version = VERSION } = params as Reference
  const model = registry.find(name)
  if (version !== VERSION)
    throw new ServiceError(
      'MODEL_NOT_FOUND',
      `Request for unknown model: '${name}' version ${version} is not found; there is only version ${VERSION}`,
    )
  return { model, name }
}

/** Every model by each of its names; by its id where it has none. */
export function namedModels(registry: Registry): { model: Model; name: string }[] {
  return registry.list().flatMap((model) => {
    const { id } = model.record
    const names = registry.namesOf(id)
    return (names.length > 0 ? names : [id]).map((name) => ({ model, name }))
  })
}
