import Type from 'typebox'
import type { App, Services } from '../shared/services.ts'

const Status = Type.Object({ status: Type.String() })

export function healthRoutes(app: App, { notReady }: Services): void {
  app.get(
    '/livez',
    {
      schema: {
        operationId: 'checkLive',
        tags: ['operation'],
        summary: 'Whether the process answers',
        response: { 200: Status },
      },
    },
    () => ({ status: 'alive' }),
  )
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'checkReady',
        tags: ['operation'],
        summary: 'Whether it can take traffic',
        response: { 200: Status },
      },
    },
    () => {
      const reason = notReady()
      if (reason !== undefined) throw reason
      return { status: 'ready' }
    },
  )
}
