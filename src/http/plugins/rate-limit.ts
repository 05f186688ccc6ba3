import fastifyRateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { ServiceError } from '../../common/errors.ts'
import type { Key } from '../shared/api-keys.ts'
import type { Rate } from '../shared/rates.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts a request for its key, or for its address if it has no valid key. Rejects with RATE_LIMITED beyond the
     * rate. Returns undefined if no rate applies.
     */
    readonly countRequest: (request: FastifyRequest, key: Key | undefined) => Promise<void> | undefined
  }
}

/** The number of callers in memory. The least recent is dropped, and its count starts again. */
const MAX_CALLERS = 10_000

/** Rate limits of this process. `defaultRate` applies to addresses and to keys without a rate of their own. */
export const rateLimit = fp(
  async (app: FastifyInstance, { defaultRate }: { readonly defaultRate: Rate | undefined }) => {
    const rates = new WeakMap<FastifyRequest, Rate>()
    const findRate = (request: FastifyRequest): Rate => {
      const rate = rates.get(request)
      if (rate === undefined) throw new TypeError('the request has no rate')
      return rate
    }
    await app.register(fastifyRateLimit, {
      global: false,
      cache: MAX_CALLERS,
      keyGenerator: (request) => request.caller,
      max: (request) => findRate(request).max,
      timeWindow: (request) => findRate(request).windowMs,
    })
    const count = app.createRateLimit()
    app.decorate('countRequest', (request: FastifyRequest, key: Key | undefined) => {
      // A key's rate is undefined if the default applies, and null if its rate_limit is off.
      const rate = key?.rate === undefined ? defaultRate : (key.rate ?? undefined)
      if (rate === undefined) return undefined
      rates.set(request, rate)
      return count(request).then((counted) => {
        if (counted.isAllowed || !counted.isExceeded) return
        const seconds = Math.max(1, counted.ttlInSeconds)
        const caller = key === undefined ? 'this address' : `the key ${JSON.stringify(key.name)}`
        throw new ServiceError(
          'RATE_LIMITED',
          `${caller} may send ${String(rate.max)} requests in ${String(rate.windowMs / 1000)} s; try again in ${String(seconds)} s`,
          { retryAfterSeconds: seconds },
        )
      })
    })
  },
  { name: 'rate-limit' },
)
