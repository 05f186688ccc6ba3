import type { Registry } from '../../serving/models/registry.ts'
import { findVersion, versionedPaths } from '../shared/versions.ts'

export const tags = ['tensorflow serving']

/** The paths of a route without and with a version. The patterns keep a verb out of the parameters. */
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
