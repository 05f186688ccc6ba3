import type { Registry } from '../../serving/models/registry.ts'
import type { App } from '../shared/services.ts'

/**
 * Other services on the same data folder create, move and delete models. Whoever asks about a model is told how it is
 * there now, and a model that is not known here is looked for before it is missed. Only work with a model that is known
 * goes ahead at once: what others did to it is known within half a second anyway.
 */
export function refreshModels(app: App, registry: Registry): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { model } = request.params as { readonly model?: string }
    if (model === undefined || (request.method === 'POST' && registry.knows(model))) done()
    else
      registry.refresh().then(() => {
        done()
      }, done)
  })
}
