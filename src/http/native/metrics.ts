import Type from 'typebox'
import type { App } from '../shared/app-instance.ts'
import type { Metrics } from '../../telemetry/metrics.ts'

interface Context {
  readonly metrics: Metrics
}

/** Metrics of the service. They require a key, like other calls. */
export function registerMetricsRoutes(app: App, { metrics }: Context): void {
  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getMetrics',
        tags: ['operation'],
        summary: 'Gets counters, gauges and histograms for Prometheus',
        response: {
          200: {
            description: 'Prometheus text format',
            content: { 'text/plain': { schema: Type.String() } },
          },
        },
      },
    },
    async (_request, reply) => {
      void reply.type(metrics.contentType)
      return metrics.text()
    },
  )
}
