import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ServiceError } from '../../common/errors.ts'
import type { Keyring } from '../shared/keyring.ts'
import type { Key } from '../shared/api-keys.ts'
import type { Limiter } from './rate-limit.ts'
import { isOpen, isProbe, findScope } from '../shared/scopes.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whom it is counted for: the name of its valid key, else its address. */
    caller: string
  }
}

/**
 * Lets in whose key has the scope of the route, given as `Authorization: Bearer <key>` or `X-API-Key`. It goes by the route
 * that was met, never by the path as it was written, so no spelling of a path opens another; what has no route asks for
 * any key. Who calls too often is refused first, whatever the key.
 */
export function authenticate(app: FastifyInstance, keyring: Keyring, limit: Limiter): void {
  // Said at the start, where the one who wrote the route sees it.
  app.addHook('onRoute', (route) => {
    findScope(route)
  })
  app.decorateRequest('caller', '')
  app.addHook('onRequest', (request, _reply, done) => {
    const { url } = request.routeOptions
    const key = keyring.asks ? keyring.find(givenKey(request)) : undefined
    const isValid = key !== undefined && Date.now() < key.expires
    request.caller = isValid ? `key ${key.name}` : `address ${addressOf(request)}`
    // Every line of its request says whose it was.
    if (isValid) request.log = request.log.child({ caller: key.name })
    const judge = (): void => {
      done(isOpen(url) || !keyring.asks ? undefined : checkKey(request, key))
    }
    const counted = isProbe(url) ? undefined : limit(request, isValid ? key : undefined)
    if (counted === undefined) judge()
    else counted.then(judge, done)
  })
}

function checkKey({ method, routeOptions }: FastifyRequest, key: Key | undefined): ServiceError | undefined {
  const cure = 'send the key as "Authorization: Bearer <key>" or "X-API-Key: <key>"'
  if (key === undefined)
    return new ServiceError('UNAUTHORIZED', `${cure}; whoever runs the service makes keys`)
  if (Date.now() >= key.expires)
    return new ServiceError(
      'UNAUTHORIZED',
      `the key ${JSON.stringify(key.name)} has expired; ${cure} of another`,
    )
  const { scope } = routeOptions.config
  if (scope === undefined || key.scopes.has(scope)) return undefined
  return new ServiceError(
    'FORBIDDEN',
    `${method} ${routeOptions.url ?? ''} asks for the scope "${scope}"; the key ${JSON.stringify(key.name)} has ${[...key.scopes].map((own) => `"${own}"`).join(', ')}`,
  )
}

/** Empty where there is none: the digest of nothing is no key's. */
function givenKey({ headers }: FastifyRequest): string {
  const header = headers['x-api-key']
  if (typeof header === 'string') return header
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1] ?? ''
}

/** One of IPv6 is that of its network, of which a client has any number. A connection that is gone already has none. */
function addressOf({ raw: { socket } }: FastifyRequest): string {
  return normalizeIP((socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''))
}
