import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { ServiceError } from '../../common/errors.ts'
import type { Key } from '../shared/api-keys.ts'
import type { Keyring } from '../shared/keyring.ts'
import { findScope, isOpen, isProbe } from '../shared/scopes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The caller for limits: the name of its valid key, otherwise its address. */
    caller: string
  }
}

/**
 * Requires a key with the scope of the route, as `Authorization: Bearer <key>` or `X-API-Key`. It checks the matched
 * route, not the path as written, so that no spelling of a path bypasses it; a request without a route needs any key. The
 * rate limit is checked before the key.
 */
export const authentication = fp<{ readonly keyring: Keyring }>(
  (app, { keyring }, done) => {
    // A route without a scope stops the start.
    app.addHook('onRoute', (route) => {
      findScope(route)
    })
    app.decorateRequest('caller', '')
    app.addHook('onRequest', (request, _reply, next) => {
      const { url } = request.routeOptions
      const key = keyring.requiresKey ? keyring.find(readKey(request)) : undefined
      const isValid = key !== undefined && Date.now() < key.expires
      request.caller = isValid ? `key ${key.name}` : `address ${normalizeAddress(request)}`
      if (isValid) request.log = request.log.child({ caller: key.name })
      const finish = (): void => {
        next(isOpen(url) || !keyring.requiresKey ? undefined : checkKey(request, key))
      }
      const counted = isProbe(url) ? undefined : app.countRequest(request, isValid ? key : undefined)
      if (counted === undefined) finish()
      else counted.then(finish, next)
    })
    done()
  },
  { name: 'authentication', dependencies: ['rate-limit'] },
)

function checkKey({ method, routeOptions }: FastifyRequest, key: Key | undefined): ServiceError | undefined {
  const cure = 'send the key as "Authorization: Bearer <key>" or "X-API-Key: <key>"'
  if (key === undefined)
    return new ServiceError('UNAUTHORIZED', `${cure}; the operator of the service creates keys`)
  if (Date.now() >= key.expires)
    return new ServiceError(
      'UNAUTHORIZED',
      `the key ${JSON.stringify(key.name)} has expired; use another and ${cure}`,
    )
  const { scope } = routeOptions.config
  if (scope === undefined || key.scopes.has(scope)) return undefined
  return new ServiceError(
    'FORBIDDEN',
    `${method} ${routeOptions.url ?? ''} requires the scope "${scope}"; the key ${JSON.stringify(key.name)} has ${[...key.scopes].map((own) => `"${own}"`).join(', ')}`,
  )
}

/** The key in the headers; empty without one, which matches no digest. */
function readKey({ headers }: FastifyRequest): string {
  const header = headers['x-api-key']
  if (typeof header === 'string') return header
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? ''
}

/** The address of the client. IPv6 addresses are reduced to their network; a closed connection has none. */
function normalizeAddress({ raw: { socket } }: FastifyRequest): string {
  return normalizeIP((socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''))
}
