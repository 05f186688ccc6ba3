import type { Model } from '../../serving/models/model.ts'

/** The field `ready` of a model in KServe's V1 protocol. */
export function viewReadiness({ state }: Pick<Model, 'state'>): { ready: boolean } {
  return { ready: state === 'ready' }
}
