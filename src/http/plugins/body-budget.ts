import fp from 'fastify-plugin'
import type { Config } from '../../config.ts'
import { Admission } from '../../serving/prediction/admission.ts'
import { BodyArrivals } from '../shared/body-arrivals.ts'
import { announcedBytes, growPermit } from '../shared/body-permit.ts'
import { CLIENT_ABORTED } from '../shared/client-abort.ts'
import { findIncoming } from '../shared/incoming-requests.ts'

type BudgetConfig = Pick<Config, 'MAX_QUEUE_BYTES' | 'MAX_BODY_BYTES' | 'STALL_TIMEOUT_MS'>

/**
 * Limits the memory of request bodies to MAX_QUEUE_BYTES; QUEUE_FULL beyond it. Predictions have a separate budget
 * (`predictionAdmission`), so that neither blocks the other.
 */
export const bodyBudget = fp<{ readonly config: BudgetConfig }>(
  (app, { config }, done) => {
    const admission = new Admission({ maxImages: Infinity, maxBytes: config.MAX_QUEUE_BYTES })
    const arrivals = new BodyArrivals(config)
    app.decorate('arrivals', arrivals)
    app.decorateRequest('permit', undefined)
    app.decorateRequest('onDecoded', undefined)
    app.addHook('onClose', (_app, next) => {
      arrivals.close()
      next()
    })
    app.addHook('onRequest', (request, reply, next) => {
      const announced = announcedBytes(request)
      const { bodies } = request.routeOptions.config
      if (announced > 0 && bodies !== 'admitted') {
        const bytes = bodies === 'disk' ? 1 : Math.min(announced, config.MAX_BODY_BYTES)
        const permit = admission.admit({ client: request.caller, model: '' }, bytes)
        request.permit = permit
        request.onDecoded = (more) => {
          growPermit(permit, more, config.MAX_BODY_BYTES)
        }
        reply.raw.once('close', () => {
          permit.release(CLIENT_ABORTED)
        })
        arrivals.follow(findIncoming(request), permit)
      }
      next()
    })
    // A body that has failed already would never end.
    app.addHook('preParsing', (request, _reply, _payload, next) => {
      next(findIncoming(request)?.failure)
    })
    done()
  },
  { name: 'body-budget', dependencies: ['authentication'] },
)
