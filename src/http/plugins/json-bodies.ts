import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { ServiceError } from '../../common/errors.ts'
import { parseJsonBody } from '../shared/uploads.ts'

/** Parses JSON bodies, and rejects other bodies, or none, on routes that read only JSON or forms. */
export const jsonBodies = fp(
  (app, _options, done) => {
    app.removeContentTypeParser('text/plain')
    app.removeContentTypeParser('application/json')
    app.addContentTypeParser(
      'application/json',
      { parseAs: 'buffer' },
      (_request: FastifyRequest, body: Buffer) =>
        parseJsonBody(body, body.length === 0 ? 'the body is empty and' : 'the body'),
    )
    // Images and arrays arrive under many types; their routes examine the bytes.
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, parsed) => {
      parsed(null, body)
    })
    app.addHook('onRequest', ({ headers }, _reply, next) => {
      // The type of an absent body means nothing; the route decides whether a body is required.
      const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
      if (!hasBody) delete headers['content-type']
      next()
    })
    app.addHook('preValidation', (request, _reply, next) => {
      next(checkBody(request))
    })
    done()
  },
  { name: 'json-bodies', dependencies: ['@fastify/multipart'] },
)

function checkBody(request: FastifyRequest): ServiceError | undefined {
  const schema = request.routeOptions.schema?.body as { readonly content?: object } | undefined
  const types = schema?.content ? Object.keys(schema.content) : ['application/json']
  const readsBytes = types.some((type) => !['application/json', 'multipart/form-data'].includes(type))
  const readsForm = request.isMultipart() && types.includes('multipart/form-data')
  if (schema === undefined || readsBytes || readsForm) return undefined
  if (request.isMultipart() || Buffer.isBuffer(request.body))
    return new ServiceError('UNSUPPORTED_MEDIA_TYPE', `send the body as Content-Type: ${types.join(' or ')}`)
  if (request.body === undefined)
    return new ServiceError('MALFORMED_REQUEST', `the body is empty; send ${types.join(' or ')}`)
  return undefined
}
