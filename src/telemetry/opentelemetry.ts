import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Context } from '@opentelemetry/api'
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources'
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base'
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { VERSION } from '../common/version.ts'
import type { Tracing } from './tracing.ts'

/** The time limit for the last export at shutdown. */
const FLUSH_MS = 2000

const propagator = new W3CTraceContextPropagator()
const getter = {
  keys: (headers: Headers) => Object.keys(headers),
  get: (headers: Headers, key: string) => headers[key],
}
type Headers = Readonly<Record<string, string | string[] | undefined>>

/**
 * Exports traces over OTLP, HTTP with protocol buffers. The library reads OpenTelemetry's variables
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) for
 * the target, the sampling and the name. Attributes follow the semantic conventions if there is one. The caller closes
 * it.
 */
export function startTracing(logger: Logger): Tracing {
  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': 'resinit', 'service.version': VERSION }))
    .merge(detectResources({ detectors: [envDetector] }))
  const exporter = logFailures(new OTLPTraceExporter(), logger)
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter)] })
  const tracer = provider.getTracer('resinit', VERSION)
  const contexts = new AsyncLocalStorage<Context>()
  const current = (): Context => contexts.getStore() ?? ROOT_CONTEXT

  return {
    request: ({ id, method, path, headers }) => {
      const parent = propagator.extract(ROOT_CONTEXT, headers, getter)
      const attributes = { 'http.request.method': method, 'url.path': path, 'resinit.request_id': id }
      const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent)
      const context = trace.setSpan(parent, span)
      return {
        traceId: span.spanContext().traceId,
        within: (work) => {
          contexts.run(context, work)
        },
        end: (route, status) => {
          if (route !== undefined) span.updateName(`${method} ${route}`).setAttribute('http.route', route)
          if (status !== undefined) span.setAttribute('http.response.status_code', status)
          const failure = status === undefined ? 'client_hung_up' : String(status)
          if (status === undefined || status >= 500) span.setAttribute('error.type', failure)
          if (status !== undefined && status >= 500) span.setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        },
      }
    },
    span: async (name, attributes, work) => {
      const span = tracer.startSpan(name, { attributes }, current())
      try {
        return await contexts.run(trace.setSpan(current(), span), work)
      } catch (error) {
        span.setAttribute('error.type', readErrorCode(error)).setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        span.end()
      }
    },
    past: (name, from, to, attributes) => {
      // performance.now() is relative to the start of the process; the wall clock may have been changed since.
      const offset = Date.now() - performance.now()
      tracer.startSpan(name, { attributes, startTime: offset + from }, current()).end(offset + to)
    },
    close: async () => {
      const timer = new AbortController()
      const flushed = provider.shutdown().catch((error: unknown) => {
        logger.warn({ err: error }, 'the last traces could not be sent')
      })
      const late = sleep(FLUSH_MS, undefined, { signal: timer.signal }).catch(() => undefined)
      await Promise.race([flushed, late])
      timer.abort()
    },
  }
}

/** Logs the first of consecutive failures, and the recovery: a collector may be down for hours. */
function logFailures(exporter: SpanExporter, logger: Logger): SpanExporter {
  let failing = false
  return {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS
        if (failed && !failing) logger.warn({ err: result.error }, 'traces cannot be sent')
        if (!failed && failing) logger.info('traces can be sent again')
        failing = failed
        done(result)
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  }
}

function readErrorCode(error: unknown): string {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' ? code : 'INTERNAL'
}
