import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ServiceError } from '../../common/errors.ts'
import type { Key } from '../shared/api-keys.ts'
import type { Rate } from '../shared/rates.ts'

/** Callers that are counted at once; those not heard of for longest are forgotten, and begin anew. */
const MOST_CALLERS = 10_000

/** Counts a request for its key's name, or for its address where it has none; RATE_LIMITED where there were too many. */
export type Limiter = (request: FastifyRequest, key: Key | undefined) => Promise<void> | undefined

/** Counts in this process alone; `usual` is for whoever's key says nothing else. */
export async function limiter(app: FastifyInstance, usual: Rate | undefined): Promise<Limiter> {
  const rates = new WeakMap<FastifyRequest, Rate>()
  const rateOf = (request: FastifyRequest): Rate => {
    const rate = rates.get(request)
    if (rate === undefined) throw new TypeError('nobody said who calls')
    return rate
  }
  await app.register(rateLimit, {
    global: false,
    cache: MOST_CALLERS,
    keyGenerator: (request) => request.caller,
    max: (request) => rateOf(request).max,
    timeWindow: (request) => rateOf(request).windowMs,
  })
  const count = app.createRateLimit()
  return (request, key) => {
    const rate = key?.rate === undefined ? usual : (key.rate ?? undefined)
    if (rate === undefined) return undefined
    rates.set(request, rate)
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
