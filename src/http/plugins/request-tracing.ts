import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { RequestSpan, Tracing } from '../../telemetry/tracing.ts'

/** Asked every few seconds by machines; nobody looks for their traces. */
const PROBES: ReadonlySet<string | undefined> = new Set([
  '/livez',
  '/readyz',
  '/metrics',
  '/v2/health/live',
  '/v2/health/ready',
])

/** Every request but probes is a span, and its log line names the trace. */
export function traceRequests(app: FastifyInstance, tracing: Tracing): void {
  const spans = new WeakMap<FastifyRequest, RequestSpan>()
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, url, headers, routeOptions } = request
    const path = url.split('?', 1)[0] ?? url
    const span = PROBES.has(routeOptions.url) ? undefined : tracing.request({ id, method, path, headers })
    if (span === undefined) {
      done()
      return
    }
    spans.set(request, span)
    request.log = request.log.child({ trace_id: span.traceId })
    reply.raw.once('close', () => {
      span.end(routeOptions.url, reply.raw.writableFinished ? reply.statusCode : undefined)
    })
    span.within(done)
  })
  // A body is read in the context of its connection, not of its request.
  app.addHook('preValidation', (request, _reply, done) => {
    const span = spans.get(request)
    if (span === undefined) done()
    else span.within(done)
  })
}
