import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { Services } from '../services.ts'
import { problems } from '../schemas/common.ts'

const Status = Type.Object({ status: Type.String() })

export function healthRoutes({ notReady }: Services): FastifyPluginCallbackTypebox {
  return (app, _options, done) => {
    app.get(
      '/livez',
      { schema: { tags: ['operation'], summary: 'Whether the process answers', response: { 200: Status } } },
      () => ({ status: 'alive' }),
    )
    app.get(
      '/readyz',
      {
        schema: {
          tags: ['operation'],
          summary: 'Whether it can take traffic',
          response: { 200: Status, ...problems },
        },
      },
      () => {
        const reason = notReady()
        if (reason !== undefined) throw reason
        return { status: 'ready' }
      },
    )
    done()
  }
}
