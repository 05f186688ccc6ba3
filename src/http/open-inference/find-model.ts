import type { Model } from '../../serving/models/model.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { findVersion, versionedPaths } from '../shared/versions.ts'

export const tags = ['open inference']

/** The paths of a route without and with a version. */
export function paths(rest: string) {
  return versionedPaths('/v2/models/:model', ':version', rest)
}

export function findModel(registry: Registry, params: unknown) {
  return findVersion(
    registry,
    params,
    (name, version) => `Request for unknown model: '${name}' version ${version} is not found`,
  )
}

/** Lists every model under each of its names, or under its id if it has none. */
export function listNamedModels(registry: Registry): { model: Model; name: string }[] {
  return registry.list().flatMap((model) => {
    const { id } = model.record
    const names = registry.listNames(id)
    return (names.length > 0 ? names : [id]).map((name) => ({ model, name }))
  })
}
