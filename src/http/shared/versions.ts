import { ServiceError } from '../../common/errors.ts'
import type { Model } from '../../serving/models/model.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { ModelReference, VersionedReference } from './model-schemas.ts'
import type { App } from './services.ts'

/** There is one version of every model: a model is its recipe. */
export const VERSION = '1'
/** Both protocols have int64 versions. */
const LARGEST_VERSION = 2n ** 63n - 1n

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

/** Refuses a version that is not a number before its model is looked up, as both protocols do. */
export function checkVersions(scope: App): void {
  scope.addHook('onRequest', ({ method, url, params }, _reply, done) => {
    const { version = VERSION } = params as { readonly version?: string }
    if (!/^\d+$/.test(version))
      done(
        new ServiceError(
          'MALFORMED_REQUEST',
          `Malformed request: ${method} ${url.split('?', 1)[0] ?? url}; a version is a number, and there is only version 1`,
        ),
      )
    else if (BigInt(version) > LARGEST_VERSION)
      done(
        new ServiceError(
          'MALFORMED_REQUEST',
          `Failed to convert version: ${version} to numeric; there is only version 1`,
        ),
      )
    else done()
  })
}

/** MODEL_NOT_FOUND for another version too, in a protocol's own words. */
export function findVersion(
  registry: Registry,
  params: unknown,
  refusal: (name: string, version: string) => string,
): { model: Model; name: string } {
  const { model: name, version = VERSION } = params as { readonly model: string; readonly version?: string }
  const model = registry.find(name)
  if (Number(version) !== Number(VERSION))
    throw new ServiceError('MODEL_NOT_FOUND', `${refusal(name, version)}; there is only version ${VERSION}`)
  return { model, name }
}
