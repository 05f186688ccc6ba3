import { fieldError } from '../../errors.ts'
import { hangUp } from '../hang-up.ts'
import { recordOptions } from '../query.ts'
import { ModelReference, ModelStatistics, StatisticsQuery } from '../schemas/models.ts'
import type { App, Services } from '../services.ts'

/** A model's parameters, each measured and held against what its initializer promises. */
export function statisticsRoutes(app: App, { registry, analysis }: Services): void {
  app.get(
    '/v1/models/:model/statistics',
    {
      schema: {
        tags: ['models'],
        summary: 'Statistics of the trainable parameters, held against theory',
        params: ModelReference,
        querystring: StatisticsQuery,
        response: { 200: ModelStatistics },
      },
    },
    async ({ params, query }, reply) => {
      const model = registry.find(params.model)
      const { id, weights } = model.record
      const statistics = await analysis.statistics(
        registry.weightsOf(model),
        {
          ...recordOptions(query),
          ...(query.parameters === undefined ? {} : { match: query.parameters }),
        },
        { signal: hangUp(reply) },
      )
      if (statistics.parameters.length === 0) {
        throw fieldError('#/parameters', `${JSON.stringify(query.parameters)} matches no trainable parameter`)
      }
      return { model: id, weights, ...statistics }
    },
  )
}
