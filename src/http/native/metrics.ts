import Type from 'typebox'
import type { App, Services } from '../shared/services.ts'

/** What the service measured of itself. Like any other call it asks for the key, where there is one. */
export function metricsRoutes(app: App, { metrics }: Services): void {
  app.get(
    '/metrics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getMetrics',
        tags: ['operation'],
        summary: 'Counters, gauges and histograms for Prometheus',
        response: {
          200: { description: 'The text format', content: { 'text/plain': { schema: Type.String() } } },
        },
      },
    },
    async (_request, reply) => {
      void reply.type(metrics.contentType)
      return metrics.text()
    },
  )
}
