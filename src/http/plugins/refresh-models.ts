import fp from 'fastify-plugin'
import type { Registry } from '../../serving/models/registry.ts'

/**
 * Refreshes the models before a request for one: other services on the same data folder create, move and delete models. A
 * POST to a known model skips the refresh, because the store watcher reports changes within half a second.
 */
export const refreshModels = fp<{ readonly registry: Registry }>(
  (app, { registry }, done) => {
    app.addHook('onRequest', (request, _reply, next) => {
      const { model } = request.params as { readonly model?: string }
      if (model === undefined || (request.method === 'POST' && registry.knows(model))) next()
      else
        registry.refresh().then(() => {
          next()
        }, next)
    })
    done()
  },
  { name: 'refresh-models', dependencies: ['authentication'] },
)
