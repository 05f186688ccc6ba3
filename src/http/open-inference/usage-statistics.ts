import type { Static } from 'typebox'
import type { ModelUsage, Tally } from '../../serving/prediction/usage.ts'
import type { App, Services } from '../shared/services.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, namedModels, paths, tags } from './find-model.ts'
import { InferenceStatistics } from './schemas.ts'

type Statistics = Static<typeof InferenceStatistics>['model_stats'][number]

/** What models have done since the service started, whichever protocol asked them. */
export function statisticsRoutes(app: App, { registry, usage }: Services): void {
  const response = { 200: InferenceStatistics }
  app.get(
    '/v2/models/stats',
    {
      config: { scope: 'read' },
      schema: { operationId: 'getInferenceStatistics', tags, summary: 'What all models have done', response },
    },
    () => ({
      model_stats: namedModels(registry).map(({ model, name }) =>
        formatStatistics(name, usage.of(model.record.id)),
      ),
    }),
  )
  for (const { path, subject, params } of paths('/stats')) {
    const schema = {
      operationId: `get${subject}InferenceStatistics`,
      tags,
      summary: 'What a model has done',
      params,
      response,
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return { model_stats: [formatStatistics(name, usage.of(model.record.id))] }
    })
  }
}

function formatStatistics(name: string, usage: ModelUsage): Statistics {
  const none = { count: 0, ns: 0 }
  const sizes = [...usage.bySize].toSorted(([a], [b]) => a - b)
  return {
    name,
    version: VERSION,
    last_inference: usage.lastUsed,
    inference_count: usage.images,
    execution_count: usage.batches,
    inference_stats: {
      success: inNanoseconds(usage.success),
      fail: inNanoseconds(usage.fail),
      queue: inNanoseconds(usage.queue),
      compute_input: inNanoseconds(usage.decode),
      compute_infer: inNanoseconds(usage.compute),
      compute_output: inNanoseconds(usage.encode),
      cache_hit: none,
      cache_miss: none,
    },
    batch_stats: sizes.map(([batch_size, tally]) => ({
      batch_size,
      compute_input: none,
      compute_infer: inNanoseconds(tally),
      compute_output: none,
    })),
  }
}

function inNanoseconds({ count, ms }: Tally): { count: number; ns: number } {
  return { count, ns: Math.round(ms * 1e6) }
}
