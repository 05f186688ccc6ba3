import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import { isOpen } from '../shared/scopes.ts'
import { isLoopbackAddress, isLoopbackName } from './loopback.ts'

/** A name or IPv4 address without a final dot, or an IPv6 address, with an optional port. */
const HOST_HEADER = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d*)?$/
const MAX_QUOTED = 100

type CrossSiteConfig = Pick<Config, 'HOST' | 'CORS_ORIGINS'>

/**
 * Rejects requests from pages of other sites, for a service without keys: any page in the user's browser could send them.
 * With keys the check is unnecessary, because a browser adds no key by itself.
 *
 * It runs before the hooks of the route, so that nothing is reserved and no body is read. Clients other than browsers send
 * neither `Origin` nor `Sec-Fetch-Site`.
 */
export const crossSite = fp<{ readonly config: CrossSiteConfig }>(
  (app, { config }, done) => {
    const isRebound = createHostCheck(app, config)
    const isForeign = createOriginCheck(config)
    app.addHook('onRequest', (request, _reply, next) => {
      const { host, origin } = request.headers
      if (isRebound(host))
        next(
          new ServiceError(
            'CROSS_SITE_REFUSED',
            `the Host ${quote(host)} is not a name of this machine; send the request to localhost, to a loopback address or to HOST, or set API_KEYS_FILE`,
          ),
        )
      else if (isForeign(request))
        next(
          new ServiceError(
            'CROSS_SITE_REFUSED',
            `the request comes from ${origin === undefined ? 'a page of another site' : `the origin ${quote(origin)}`}; name its origin in CORS_ORIGINS, or set API_KEYS_FILE`,
          ),
        )
      else next()
    })
    done()
  },
  { name: 'cross-site', dependencies: ['error-handler'] },
)

/**
 * Detects DNS rebinding: a Host that is a name of another site, resolved to this machine. Only a service that listens on
 * loopback only can list its own names. Browsers never send HTTP/1.0 without a Host.
 */
function createHostCheck(
  app: FastifyInstance,
  { HOST }: CrossSiteConfig,
): (host: string | undefined) => boolean {
  const own = HOST.toLowerCase()
  let local: boolean | undefined
  /** The last accepted Host: nearly all requests have the same one. */
  let accepted: string | undefined
  return (host) => {
    local ??= listensOnLoopback(app)
    if (!local || host === undefined || host === accepted) return false
    const [, address, name = ''] = HOST_HEADER.exec(host.toLowerCase()) ?? []
    const named = address ?? name
    if (named !== own && !isLoopbackName(named) && !isLoopbackAddress(named)) return true
    accepted = host
    return false
  }
}

/** Undefined before the service listens. */
function listensOnLoopback({ server }: FastifyInstance): boolean | undefined {
  const bound = server.address()
  if (bound === null) return undefined
  return typeof bound === 'object' && isLoopbackAddress(bound.address)
}

/** Detects requests from pages of another origin that is not in CORS_ORIGINS. */
function createOriginCheck({ CORS_ORIGINS }: CrossSiteConfig): (request: FastifyRequest) => boolean {
  if (CORS_ORIGINS === '*') return () => false
  const named = new Set(CORS_ORIGINS?.split(','))
  return (request) => {
    const { host, origin, 'sec-fetch-site': site } = request.headers
    if (origin !== undefined && named.has(origin)) return false
    if (origin !== undefined && !isOwnOrigin(origin, host)) return true
    return site !== undefined && site !== 'same-origin' && site !== 'none' && !isNavigation(request)
  }
}

/** Whether an origin is this service under the Host of the request. A proxy may terminate TLS. */
function isOwnOrigin(origin: string, host: string | undefined): boolean {
  const [, scheme, authority] = /^(https?):\/\/([^/?#@\\]+)$/i.exec(origin) ?? []
  if (scheme === undefined || authority === undefined || host === undefined) return false
  // URL normalizes the default port.
  const [page, service] = [authority, host].map((name) => `${scheme}://${name}`)
  return (
    page !== undefined &&
    URL.canParse(page) &&
    service !== undefined &&
    URL.canParse(service) &&
    new URL(page).host === new URL(service).host
  )
}

/**
 * Whether a person follows a link to the page, the documentation or a probe. These responses are the same for all, reveal
 * no model and start no work, and the linking page cannot read them.
 */
function isNavigation({ method, headers, routeOptions }: FastifyRequest): boolean {
  return (
    (method === 'GET' || method === 'HEAD') &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    isOpen(routeOptions.url)
  )
}

function quote(text: string | undefined): string {
  return JSON.stringify(text?.slice(0, MAX_QUOTED))
}
