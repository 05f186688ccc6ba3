import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import { Admission, type Place } from '../serving/admission.ts'
import { reserveDecoded } from './body-encoding.ts'
import { HUNG_UP } from './hang-up.ts'

/** What a body may become in memory, by what its head says; one that comes in chunks may become as large as any. */
export function bodyBytes({ headers }: FastifyRequest, most: number): number {
  if (headers['transfer-encoding'] !== undefined) return most
  return Math.min(Number(headers['content-length'] ?? 0), most)
}

/** A body holds so many bytes more, or (negative) less, of those that it may hold. */
export function growPlace(place: Place, more: number, most: number): void {
  place.hold(place.images, Math.max(0, Math.min(place.bytes + more, most)))
}

/**
 * Bodies on their way hold no more than MAX_QUEUE_BYTES, else QUEUE_FULL before a byte of them is read. Predictions have
 * a room of their own (`admittance`), so that neither keeps the other out.
 */
export function boundBodies(
  app: FastifyInstance,
  { MAX_QUEUE_BYTES: maxBytes, MAX_BODY_BYTES }: Config,
): void {
  const room = new Admission({ maxImages: Infinity, maxBytes })
  app.addHook('onRequest', (request, reply, done) => {
    const bytes = request.routeOptions.config.scope === 'predict' ? 0 : bodyBytes(request, MAX_BODY_BYTES)
    if (bytes > 0) {
      const place = room.admit('', bytes)
      reserveDecoded(request, (more) => {
        growPlace(place, more, MAX_BODY_BYTES)
      })
      reply.raw.once('close', () => {
        place.leave(HUNG_UP)
      })
    }
    done()
  })
}
