import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'
import fp from 'fastify-plugin'
import { ServiceError } from '../../common/errors.ts'

/** The methods of all routes. */
export const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE']

/** Rejects an unknown path or method before the body is read. */
export const unknownRoutes = fp(
  (app, _options, done) => {
    app.setNotFoundHandler((request, reply) => {
      throw createNotFoundError(app, request, reply)
    })
    app.addHook('onRequest', (request, reply, next) => {
      next(request.is404 ? createNotFoundError(app, request, reply) : undefined)
    })
    done()
  },
  { name: 'unknown-routes', dependencies: ['error-handler'] },
)

function createNotFoundError(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
): ServiceError {
  const path = request.url.split('?', 1)[0] ?? request.url
  // The type of findRoute lacks null.
  const findRoute = (method: HTTPMethods): object | null => app.findRoute({ method, url: path })
  const allow = METHODS.filter((method) => findRoute(method) !== null)
  // A route of files exists even if the file does not.
  if (allow.length === 0 || allow.includes(request.method)) {
    return new ServiceError(
      'ROUTE_NOT_FOUND',
      `there is no ${request.method} ${path}; GET /openapi.json lists the routes`,
    )
  }
  void reply.header('allow', allow.join(', '))
  return new ServiceError(
    'METHOD_NOT_ALLOWED',
    `the route does not support ${request.method}; use ${allow.join(' or ')}`,
  )
}
