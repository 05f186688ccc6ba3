import { Content } from '../schemas/common.ts'
import type { App, Services } from '../services.ts'

/** What the service measured of itself. Like any other call it asks for the key, where there is one. */
export function metricsRoutes(app: App, { metrics }: Services): void {
  app.get(
    '/metrics',
    {
      schema: {
        tags: ['operation'],
        summary: 'Counters, gauges and histograms for Prometheus',
        response: { 200: Content('The text format', ['text/plain']) },
      },
    },
    async (_request, reply) => {
      void reply.type(metrics.contentType)
      return metrics.text()
    },
  )
}
