import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { Admission } from '../../serving/prediction/admission.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import { Arrivals } from './body-arrivals.ts'
import { reserveDecoded } from '../shared/body-encoding.ts'
import { CLIENT_ABORTED } from '../shared/client-abort.ts'
import { incomingOf } from '../shared/incoming-requests.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Where bodies go that are not read into memory: a place that the route takes, or the disk. */
    readonly bodies?: 'admitted' | 'disk'
  }
  interface FastifyInstance {
    readonly arrivals: Arrivals
  }
  interface FastifyRequest {
    /** What the request holds of the room for bodies; undefined where it has no body. */
    permit: Permit | undefined
  }
}

/** Bytes that a head announces; a body in chunks may be as little as one. */
export function announcedBytes({ headers }: FastifyRequest): number {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : 1
}

/** A body holds so many bytes more, or (negative) less, of those that it may hold. */
export function growPlace(permit: Permit, more: number, most: number): void {
  permit.reserve(permit.images, Math.max(0, Math.min(permit.bytes + more, most)))
}

/**
 * Bodies on their way hold no more than MAX_QUEUE_BYTES, else QUEUE_FULL. Predictions have a room of their own
 * (`admittance`), so that neither keeps the other out.
 */
export function limitBodies(app: FastifyInstance, config: Config): void {
  const room = new Admission({ maxImages: Infinity, maxBytes: config.MAX_QUEUE_BYTES })
  const arrivals = new Arrivals(config)
  app.decorate('arrivals', arrivals)
  app.decorateRequest('place', undefined)
  app.addHook('onClose', (_app, done) => {
    arrivals.close()
    done()
  })
  app.addHook('onRequest', (request, reply, done) => {
    const announced = announcedBytes(request)
    const { bodies } = request.routeOptions.config
    if (announced > 0 && bodies !== 'admitted') {
      const bytes = bodies === 'disk' ? 1 : Math.min(announced, config.MAX_BODY_BYTES)
      const permit = room.admit({ client: request.caller, model: '' }, bytes)
      request.permit = permit
      reserveDecoded(request, (more) => {
        growPlace(permit, more, config.MAX_BODY_BYTES)
      })
      reply.raw.once('close', () => {
        permit.release(CLIENT_ABORTED)
      })
      arrivals.follow(incomingOf(request), permit)
    }
    done()
  })
  // One that failed before it was read would be waited for.
  app.addHook('preParsing', (request, _reply, _payload, done) => {
    done(incomingOf(request)?.failure)
  })
}
