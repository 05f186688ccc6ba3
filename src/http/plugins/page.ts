import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { fileURLToPath } from 'node:url'
import Type from 'typebox'
import { createSecurityHeaders } from './security-headers.ts'

/** The output of `page/build.mjs`; the same path from src/ and from dist/. */
const PAGE = fileURLToPath(new URL('../../../dist/page/', import.meta.url))
const HEADERS = createSecurityHeaders({ images: 'blob: data:' })

/**
 * The web page: `/` if the client accepts text/html, with its files under `/page/`, whose names contain a hash. For other
 * clients `/` reports liveness, as in KServe's V1 protocol.
 */
export const page = fp(
  async (app: FastifyInstance) => {
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
          summary: 'Liveness as JSON; the web page if the client accepts text/html',
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
        // Every version names other files, so the document itself is not cached.
        void reply
          .headers({ ...HEADERS, 'cache-control': 'no-cache' })
          .sendFile('index.html', PAGE, { immutable: false, cacheControl: false })
      },
    )
  },
  { name: 'page', dependencies: ['@fastify/accepts', 'openapi-document'] },
)
