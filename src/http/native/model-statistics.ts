import type { Static } from 'typebox'
import { fieldError } from '../../common/errors.ts'
import { ResultCache } from '../../serving/result-cache.ts'
import { hangUp } from '../shared/client-abort.ts'
import { recordOptions } from '../shared/query.ts'
import { toJson } from '../shared/schema-parts.ts'
import { ModelReference, ModelStatistics, StatisticsQuery } from '../shared/model-schemas.ts'
import type { App, Services } from '../shared/services.ts'

/** Records of some networks; with all spectra of ResNet-152 an answer has a megabyte. */
const KEPT = { entries: 256, characters: 2 ** 25 }

/** A model's parameters, each measured and held against what its initializer promises. */
export function statisticsRoutes(app: App, { registry, analysis }: Services): void {
  const answers = new ResultCache(KEPT)

  app.get(
    '/v1/models/:model/statistics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getStatistics',
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
      const reference = query.relative_to === undefined ? undefined : registry.find(query.relative_to)
      // Weights that diverged or were damaged have no statistics, whatever was answered before.
      await registry.weightsOf(model)
      if (reference) await registry.weightsOf(reference)
      const options = {
        ...recordOptions(query),
        ...(query.parameters === undefined ? {} : { match: query.parameters }),
      }
      const key = JSON.stringify([id, reference?.record.id ?? null, options])
      const json = await answers.get(
        key,
        hangUp(reply),
        async (signal) => {
          const statistics = await registry.withWeights(model, (source) =>
            reference === undefined
              ? analysis.statistics(source, options, { signal })
              : registry.withWeights(reference, (relativeTo) =>
                  analysis.statistics(source, { ...options, relativeTo }, { signal }),
                ),
          )
          if (statistics.parameters.length === 0)
            throw fieldError(
              '#/parameters',
              `${JSON.stringify(query.parameters)} matches no trainable parameter`,
            )
          const relative_to = reference?.record.id
          return { model: id, weights, ...(reference ? { relative_to } : {}), ...statistics }
        },
        toJson,
      )
      // It is kept as it goes out: writing numbers takes longer than finding them.
      const written = json as unknown as Static<typeof ModelStatistics>
      return reply.type('application/json; charset=utf-8').send(written)
    },
  )
}
