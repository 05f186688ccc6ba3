import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { ServiceError } from '../../common/errors.ts'
import { tensorflowServingErrors } from './error-format.ts'
import { tags } from './find-model.ts'

const LABEL = /^\/v1\/models\/[^/:]+\/labels\/([^/:]+)(?::(?:predict|classify|regress)|\/metadata)?$/i

/**
 * Rejects a path of this API without a route of this API, before a native route reads a verb as a part of a name. Labels
 * do not exist; their error is worded as in `ServerCore`.
 */
export const malformedPaths = fp(
  (app, _options, done) => {
    app.addHook('onRequest', (request, _reply, next) => {
      next(checkPath(request))
    })
    done()
  },
  { name: 'tensorflow-serving-paths', dependencies: ['error-handler'] },
)

function checkPath({ method, url, routeOptions }: FastifyRequest): ServiceError | undefined {
  const path = url.split('?', 1)[0] ?? url
  if (!tensorflowServingErrors.paths.test(path) || routeOptions.schema?.tags === tags) return undefined
  const label = LABEL.exec(path)?.[1]
  return new ServiceError(
    'MALFORMED_REQUEST',
    label === undefined
      ? `Malformed request: ${method} ${path}; use POST with :predict or GET with /metadata`
      : `Unrecognized servable version label: ${label}; labels are not supported, use version 1`,
  )
}
