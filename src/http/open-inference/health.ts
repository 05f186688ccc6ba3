import Type from 'typebox'
import type { App } from '../shared/app-instance.ts'
import type { ServiceError } from '../../common/errors.ts'
import { tags } from './find-model.ts'

const Live = Type.Object({ live: Type.Literal(true) })
/** The text of the specification has `live`, its implementations `ready`. */
const Ready = Type.Object({ live: Type.Literal(true), ready: Type.Literal(true) })

interface Context {
  readonly notReady: () => ServiceError | undefined
}

export function registerHealthRoutes(app: App, { notReady }: Context): void {
  app.get(
    '/v2/health/live',
    {
      schema: {
        operationId: 'checkServerLive',
        tags,
        summary: 'Checks that the process answers',
        response: { 200: Live },
      },
    },
    () => ({ live: true as const }),
  )
  app.get(
    '/v2/health/ready',
    {
      schema: {
        operationId: 'checkServerReady',
        tags,
        summary: 'Checks that the service can take traffic',
        response: { 200: Ready },
      },
    },
    () => {
      const reason = notReady()
      if (reason !== undefined) throw reason
      return { live: true as const, ready: true as const }
    },
  )
}
