import type { Registry } from '../../serving/models/registry.ts'
import { findVersion, versionedPaths } from '../shared/versions.ts'

export const tags = ['tensorflow serving']

/** A path of the API without and with a version. Without the patterns a parameter would swallow the verb. */
export function paths(rest: string) {
  return versionedPaths('/v1/models/:model([^/:]+)', ':version([^/:]+)', rest)
}

export function findModel(registry: Registry, params: unknown) {
  return findVersion(
    registry,
    params,
    (name, version) => `Servable not found for request: Specific(${name}, ${version})`,
  )
}
