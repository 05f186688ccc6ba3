import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { RequestSpan, Tracing } from '../../telemetry/tracing.ts'

/** Polled every few seconds; their traces are of no use. */
const UNTRACED: ReadonlySet<string | undefined> = new Set([
  '/livez',
  '/readyz',
  '/metrics',
  '/v2/health/live',
  '/v2/health/ready',
])

/** Traces every request except probes as a span, and adds the trace id to its log lines. */
export const requestTracing = fp<{ readonly tracing: Tracing }>(
  (app, { tracing }, done) => {
    const spans = new WeakMap<FastifyRequest, RequestSpan>()
    app.addHook('onRequest', (request, reply, next) => {
      const { id, method, url, headers, routeOptions } = request
      const path = url.split('?', 1)[0] ?? url
      const span = UNTRACED.has(routeOptions.url) ? undefined : tracing.request({ id, method, path, headers })
      if (span === undefined) {
        next()
        return
      }
      spans.set(request, span)
      request.log = request.log.child({ trace_id: span.traceId })
      reply.raw.once('close', () => {
        span.end(routeOptions.url, reply.raw.writableFinished ? reply.statusCode : undefined)
      })
      span.within(next)
    })
    // Reading the body leaves the context of the request.
    app.addHook('preValidation', (request, _reply, next) => {
      const span = spans.get(request)
      if (span === undefined) next()
      else span.within(next)
    })
    done()
  },
  { name: 'request-tracing' },
)
