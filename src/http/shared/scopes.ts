import type { RouteOptions } from 'fastify'

/** Scopes of keys. `predict`: predictions; `read`: all read-only calls; `manage`: creates and deletes models and experiments. */
export const SCOPES = ['predict', 'read', 'manage'] as const
export type Scope = (typeof SCOPES)[number]

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The scope that the route requires. Every route has one, except those that need no key. */
    readonly scope?: Scope
  }
}

/** Routes without a key: probes, documentation and the web page, which come partly from plugins. */
const OPEN_ROUTES = /^\/(|livez|readyz|v2\/health\/(live|ready)|openapi\.json|docs(\/.*)?|page(\/.*)?)$/
/** Routes without a rate limit: an orchestrator polls them and restarts a service that does not answer. */
const PROBES = /^\/(livez|readyz|v2\/health\/(live|ready))$/

/** Whether a declared route needs no key. A request without a route needs one. */
export const isOpen = (url: string | undefined): boolean => url !== undefined && OPEN_ROUTES.test(url)

/** The scope that a route requires; undefined for an open route. Throws if another route has none. */
export function findScope({
  method,
  url,
  config,
}: Pick<RouteOptions, 'method' | 'url' | 'config'>): Scope | undefined {
  if (isOpen(url)) return undefined
  if (config?.scope === undefined)
    throw new TypeError(`${String(method)} ${url} has no scope; declare one in the config of the route`)
  return config.scope
}

export const isProbe = (url: string | undefined): boolean => url !== undefined && PROBES.test(url)
