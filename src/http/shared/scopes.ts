import type { RouteOptions } from 'fastify'

/** What a key may be for: images in, classes out; whatever changes nothing; whatever changes which models and experiments there are. */
export const SCOPES = ['predict', 'read', 'manage'] as const
export type Scope = (typeof SCOPES)[number]

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Which keys a route is for. Every route names its own, but for those that need no key. */
    readonly scope?: Scope
  }
}

/** Routes for orchestrators and for people before they have a key; some are of plugins that name no scope. */
const OPEN_ROUTES = /^\/(|livez|readyz|v2\/health\/(live|ready)|openapi\.json|docs(\/.*)?|page(\/.*)?)$/
/** Asked so often, and by those who restart what does not answer, that no limit may meet them. */
const PROBES = /^\/(livez|readyz|v2\/health\/(live|ready))$/

/** Whether a route, as it was declared, is answered without a key. What has no route is not. */
export const isOpen = (url: string | undefined): boolean => url !== undefined && OPEN_ROUTES.test(url)

/** The scope a route asks for; undefined where it needs no key. Throws where it says nothing and is none of these. */
export function findScope({
  method,
  url,
  config,
}: Pick<RouteOptions, 'method' | 'url' | 'config'>): Scope | undefined {
  if (isOpen(url)) return undefined
  if (config?.scope === undefined)
    throw new TypeError(`${String(method)} ${url} has no scope, so nobody could say which keys it is for`)
  return config.scope
}

export const isProbe = (url: string | undefined): boolean => url !== undefined && PROBES.test(url)
