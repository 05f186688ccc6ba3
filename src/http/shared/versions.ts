import { ServiceError } from '../../common/errors.ts'
import type { Model } from '../../serving/models/model.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { ModelReference, VersionedReference } from './model-schemas.ts'
import type { App } from './app-instance.ts'

/** Every model has exactly one version: a model is immutable. */
export const VERSION = '1'
/** Versions of both protocols are int64. */
const LARGEST_VERSION = 2n ** 63n - 1n

/** Model paths without and with a version, followed by `rest`, with the name for an operationId and the schema. */
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

/** Rejects a version that is not a number before the model is looked up, as both protocols do. */
export function checkVersions(scope: App): void {
  scope.addHook('onRequest', ({ method, url, params }, _reply, done) => {
    const { version = VERSION } = params as { readonly version?: string }
    if (!/^\d+$/.test(version))
      done(
        new ServiceError(
          'MALFORMED_REQUEST',
          `Malformed request: ${method} ${url.split('?', 1)[0] ?? url}; a version is a number, and only version 1 exists`,
        ),
      )
    else if (BigInt(version) > LARGEST_VERSION)
      done(
        new ServiceError(
          'MALFORMED_REQUEST',
          `Failed to convert version: ${version} to numeric; only version 1 exists`,
        ),
      )
    else done()
  })
}

/** Finds a model. MODEL_NOT_FOUND also for any other version, in the words of the protocol. */
export function findVersion(
  registry: Registry,
  params: unknown,
  describe: (name: string, version: string) => string,
): { model: Model; name: string } {
  const { model: name, version = VERSION } = params as { readonly model: string; readonly version?: string }
  const model = registry.find(name)
  if (Number(version) !== Number(VERSION))
    throw new ServiceError('MODEL_NOT_FOUND', `${describe(name, version)}; only version ${VERSION} exists`)
  return { model, name }
}
