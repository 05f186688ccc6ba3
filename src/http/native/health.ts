import Type from 'typebox'
import type { App } from '../shared/app-instance.ts'
import type { ServiceError } from '../../common/errors.ts'

const Status = Type.Object({ status: Type.String() })

interface Context {
  readonly notReady: () => ServiceError | undefined
}

export function registerHealthRoutes(app: App, { notReady }: Context): void {
  app.get(
    '/livez',
    {
      schema: {
        operationId: 'checkLive',
        tags: ['operation'],
        summary: 'Checks that the process answers',
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
        summary: 'Checks that the service can take traffic',
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
