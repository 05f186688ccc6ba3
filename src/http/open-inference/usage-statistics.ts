import type { Static } from 'typebox'
import type { ModelUsage, DurationSum, Usage } from '../../serving/prediction/usage.ts'
import type { App } from '../shared/app-instance.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, listNamedModels, paths, tags } from './find-model.ts'
import { InferenceStatistics } from './schemas.ts'

type Statistics = Static<typeof InferenceStatistics>['model_stats'][number]

interface Context {
  readonly registry: Registry
  readonly usage: Usage
}

/** Usage of models over all protocols since the service started. */
export function registerUsageRoutes(app: App, { registry, usage }: Context): void {
  const response = { 200: InferenceStatistics }
  app.get(
    '/v2/models/stats',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getInferenceStatistics',
        tags,
        summary: 'Gets the usage of all models',
        response,
      },
    },
    () => ({
      model_stats: listNamedModels(registry).map(({ model, name }) =>
        formatStatistics(name, usage.getOrCreate(model.record.id)),
      ),
    }),
  )
  for (const { path, subject, params } of paths('/stats')) {
    const schema = {
      operationId: `get${subject}InferenceStatistics`,
      tags,
      summary: 'Gets the usage of a model',
      params,
      response,
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return { model_stats: [formatStatistics(name, usage.getOrCreate(model.record.id))] }
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
      success: toNanoseconds(usage.success),
      fail: toNanoseconds(usage.fail),
      queue: toNanoseconds(usage.queue),
      compute_input: toNanoseconds(usage.decode),
      compute_infer: toNanoseconds(usage.compute),
      compute_output: toNanoseconds(usage.encode),
      cache_hit: none,
      cache_miss: none,
    },
    batch_stats: sizes.map(([batch_size, tally]) => ({
      batch_size,
      compute_input: none,
      compute_infer: toNanoseconds(tally),
      compute_output: none,
    })),
  }
}

function toNanoseconds({ count, ms }: DurationSum): { count: number; ns: number } {
  return { count, ns: Math.round(ms * 1e6) }
}
