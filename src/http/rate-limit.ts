import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'
import type { Key } from './keys.ts'
import type { Rate } from './rates.ts'

/** Callers that are counted at once; those not heard of for longest are forgotten, and begin anew. */
const MOST_CALLERS = 10_000

/** Counts a request for its key's name, or for its address where it has none; RATE_LIMITED where there were too many. */
export type Limiter = (request: FastifyRequest, key: Key | undefined) => Promise<void> | undefined

/** Counts in this process alone; `usual` is for whoever's key says nothing else. */
export async function limiter(app: FastifyInstance, usual: Rate | undefined): Promise<Limiter> {
  const callers = new WeakMap<FastifyRequest, { readonly name: string; readonly rate: Rate }>()
  const callerOf = (request: FastifyRequest) => {
    const caller = callers.get(request)
    if (caller === undefined) throw new TypeError('nobody said who calls')
    return caller
  }
  await app.register(rateLimit, {
    global: false,
    cache: MOST_CALLERS,
    keyGenerator: (request) => callerOf(request).name,
    max: (request) => callerOf(request).rate.max,
    timeWindow: (request) => callerOf(request).rate.windowMs,
  })
  const count = app.createRateLimit()
  return (request, key) => {
    const rate = key?.rate === undefined ? usual : (key.rate ?? undefined)
    if (rate === undefined) return undefined
    // A connection that is gone already has no address.
    const address = request.raw.socket.remoteAddress ?? ''
    const name = key === undefined ? `address ${normalizeIP(address)}` : `key ${key.name}`
    callers.set(request, { name, rate })
    return count(request).then((counted) => {
      if (counted.isAllowed || !counted.isExceeded) return
      const seconds = Math.max(1, counted.ttlInSeconds)
      const of = key === undefined ? 'this address' : `the key ${JSON.stringify(key.name)}`
      throw new ServiceError(
        'RATE_LIMITED',
        `${of} may send ${String(rate.max)} requests in ${String(rate.windowMs / 1000)} s; try again in ${String(seconds)} s`,
        { retryAfterSeconds: seconds },
      )
    })
  }
}
