import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Metrics } from '../../telemetry/metrics.ts'

/** Adds the request id to every response, and logs and measures every request. */
export const requestLog = fp<{ readonly metrics: Metrics }>(
  (app, { metrics }, done) => {
    app.addHook('onRequest', (request, reply, next) => {
      logRequest(request, reply, metrics)
      next()
    })
    done()
  },
  { name: 'request-log' },
)

/** Logs one line when the response closes: no body, no header, no query. */
export function logRequest(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  void reply.header('x-request-id', request.id)
  // onResponse runs neither for an aborted request nor for one without a route.
  reply.raw.once('close', () => {
    const { method, url, routeOptions } = request
    const finished = reply.raw.writableFinished
    const route = routeOptions.url === undefined ? 'none' : `${method} ${routeOptions.url}`
    metrics.request(route, finished ? reply.statusCode : undefined, reply.elapsedTime)
    request.log.info(
      {
        method,
        path: url.split('?', 1)[0],
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        ...(finished ? {} : { hung_up: true }),
      },
      'request',
    )
  })
}
