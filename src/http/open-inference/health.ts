import Type from 'typebox'
import type { App, Services } from '../shared/services.ts'
import { tags } from './find-model.ts'

const Live = Type.Object({ live: Type.Literal(true) })
/** The specification's text asks for `live`, its implementations for `ready`. */
const Ready = Type.Object({ live: Type.Literal(true), ready: Type.Literal(true) })

export function healthRoutes(app: App, { notReady }: Services): void {
  app.get(
    '/v2/health/live',
    {
      schema: {
        operationId: 'checkServerLive',
        tags,
        summary: 'Whether the process answers',
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
        summary: 'Whether it can take traffic',
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
