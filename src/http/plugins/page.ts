import fastifyStatic from '@fastify/static'
import { fileURLToPath } from 'node:url'
import Type from 'typebox'
import { securityHeaders } from './security-headers.ts'
import type { App } from '../shared/services.ts'

/** What `page/build.mjs` writes; the same from src/ and from dist/. */
const PAGE = fileURLToPath(new URL('../../../dist/page/', import.meta.url))
const HEADERS = securityHeaders({ images: 'blob: data:' })

/**
 * The page for people: `/` where HTML is asked for by name, and what it loads under `/page/`, whose names follow from the
 * contents. Everybody else is told at `/` that the service is alive, as KServe's V1 protocol has it.
 */
export async function page(app: App): Promise<void> {
  await app.register(fastifyStatic, {
    root: `${PAGE}assets`,
    prefix: '/page/',
    preCompressed: true,
    immutable: true,
    maxAge: '365d',
    index: false,
    setHeaders: (response) => {
      for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
      response.setHeader('vary', 'accept-encoding')
    },
  })
  app.get(
    '/',
    {
      schema: {
        operationId: 'getRoot',
        tags: ['operation'],
        summary: 'Whether the process answers; the page, where text/html is asked for',
        response: {
          200: {
            description: 'Alive',
            content: {
              'application/json': { schema: Type.Object({ status: Type.String() }) },
              'text/html': { schema: Type.String() },
            },
          },
        },
      },
    },
    (request, reply) => {
      void reply.header('vary', 'accept, accept-encoding')
      if (request.accepts().type(['application/json', 'text/html']) !== 'text/html') {
        void reply.send({ status: 'alive' })
        return
      }
      // A new version has other names for what it loads, so it is asked for again.
      void reply
        .headers({ ...HEADERS, 'cache-control': 'no-cache' })
        .sendFile('index.html', PAGE, { immutable: false, cacheControl: false })
    },
  )
}
