import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import { isLoopbackAddress, isLoopbackName } from './loopback.ts'
import { isOpen } from '../shared/scopes.ts'

/** A name or an IPv4 address, without its last dot, or an IPv6 address; a port may follow. Nothing else is a Host. */
const HOST_HEADER = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+?)\.?)(?::\d*)?$/
const MAX_QUOTED = 100

type CrossSiteConfig = Pick<Config, 'HOST' | 'CORS_ORIGINS'>

/**
 * Refuses the requests of other sites' pages, for a service that asks for no key: every page that its user's browser opens
 * could send them. A service that asks for keys needs no such check, because a browser adds no key by itself.
 *
 * Runs before the route's own hooks, so that nothing is reserved and no byte of a body is read. A client that is no browser
 * sends neither `Origin` nor `Sec-Fetch-Site`.
 */
export function refuseCrossSite(app: FastifyInstance, config: CrossSiteConfig): void {
  const isRebound = hostCheck(app, config)
  const isForeign = originCheck(config)
  app.addHook('onRequest', (request, _reply, done) => {
    const { host, origin } = request.headers
    if (isRebound(host))
      done(
        refused(
          `the Host ${quoted(host)} is no name of this machine; send the request to localhost, to a loopback address or to HOST, or set API_KEYS_FILE`,
        ),
      )
    else if (isForeign(request))
      done(
        refused(
          `the request comes from ${origin === undefined ? 'a page of another site' : `the origin ${quoted(origin)}`}; name its origin in CORS_ORIGINS, or set API_KEYS_FILE`,
        ),
      )
    else done()
  })
}

/**
 * Whether a Host shows that a name of another site was resolved to this machine (DNS rebinding). Only a service that listens
 * on loopback alone knows its own names. HTTP/1.0 without a Host is sent by no browser.
 */
function hostCheck(app: FastifyInstance, { HOST }: CrossSiteConfig): (host: string | undefined) => boolean {
  const own = HOST.toLowerCase()
  let local: boolean | undefined
  /** Nearly all requests have the same Host. */
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

/** Undefined while the service does not listen. */
function listensOnLoopback({ server }: FastifyInstance): boolean | undefined {
  const bound = server.address()
  if (bound === null) return undefined
  return typeof bound === 'object' && isLoopbackAddress(bound.address)
}

/** Whether a request was begun by a page of another origin that CORS_ORIGINS does not name. */
function originCheck({ CORS_ORIGINS }: CrossSiteConfig): (request: FastifyRequest) => boolean {
  if (CORS_ORIGINS === '*') return () => false
  const named = new Set(CORS_ORIGINS?.split(','))
  return (request) => {
    const { host, origin, 'sec-fetch-site': site } = request.headers
    if (origin !== undefined && named.has(origin)) return false
    if (origin !== undefined && !isOriginOf(origin, host)) return true
    return site !== undefined && site !== 'same-origin' && site !== 'none' && !isVisit(request)
  }
}

/** Whether an origin is this service under the name that the request has for it; TLS may end in front of the service. */
function isOriginOf(origin: string, host: string | undefined): boolean {
  const [, scheme, authority] = /^(https?):\/\/([^/?#@\\]+)$/i.exec(origin) ?? []
  if (scheme === undefined || authority === undefined || host === undefined) return false
  // The default port may be written or left out.
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
 * Whether a person follows a link to the page, to the documentation or to a probe. These answer everyone alike, say nothing
 * of models and start no work, and the page that has the link cannot read them.
 */
function isVisit({ method, headers, routeOptions }: FastifyRequest): boolean {
  return (
    (method === 'GET' || method === 'HEAD') &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document' &&
    isOpen(routeOptions.url)
  )
}

const refused = (detail: string): ServiceError => new ServiceError('CROSS_SITE_REFUSED', detail)

const quoted = (text: string | undefined): string => JSON.stringify(text?.slice(0, MAX_QUOTED))
