import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ServiceError } from '../../common/errors.ts'
import { tags } from './find-model.ts'

/** Paths that only this API has: with a verb, a version, a label or /metadata, also where those are malformed. */
export const SERVING_PATHS = /^\/v1\/models\/(?:.+:\w*|[^/:]+\/(?:metadata|(?:versions?|labels?)(?:\/.*)?))$/i

const LABEL = /^\/v1\/models\/[^/:]+\/labels\/([^/:]+)(?::(?:predict|classify|regress)|\/metadata)?$/i

/**
 * Refuses what has such a path and no route of this API, before a route of this service takes a verb for a name. No
 * version has a label; the refusal of one has the words of `ServerCore`.
 */
export function refuseMalformedPaths(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    done(problemOf(request))
  })
}

function problemOf({ method, url, routeOptions }: FastifyRequest): ServiceError | undefined {
  const path = url.split('?', 1)[0] ?? url
  if (!SERVING_PATHS.test(path) || routeOptions.schema?.tags === tags) return undefined
  const label = LABEL.exec(path)?.[1]
  return new ServiceError(
    'MALFORMED_REQUEST',
    label === undefined
      ? `Malformed request: ${method} ${path}; there is POST of :predict, GET of /metadata`
      : `Unrecognized servable version label: ${label}; there are no labels, only version 1`,
  )
}
