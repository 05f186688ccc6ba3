import Type, { type Static } from 'typebox'
import { fieldError, ServiceError } from '../../common/errors.ts'
import { ResultCache } from '../../serving/result-cache.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { parseRecordOptions } from '../shared/query.ts'
import { toJson } from '../shared/schema-parts.ts'
import { ModelReference, ModelStatistics, StatisticsQuery } from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Analysis } from '../../analysis/contract.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { formatStatisticsCsv } from './statistics-csv.ts'

const CSV = 'text/csv'

/** Limits of the result cache. The response for ResNet-152 with all spectra has a megabyte. */
const CACHE_LIMITS = { entries: 256, characters: 2 ** 25 }

interface Context {
  readonly registry: Registry
  readonly analysis: Analysis
}

/** Measures the parameters of a model and tests each against the distribution of its initializer. */
export function registerStatisticsRoutes(app: App, { registry, analysis }: Context): void {
  const results = new ResultCache(CACHE_LIMITS)

  app.get(
    '/v1/models/:model/statistics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getStatistics',
        tags: ['models'],
        summary: 'Statistics of the trainable parameters, tested against theory',
        params: ModelReference,
        querystring: StatisticsQuery,
        response: {
          200: {
            description:
              'One record for each parameter; as CSV one line for each parameter, without histograms and spectra',
            content: { 'application/json': { schema: ModelStatistics }, [CSV]: { schema: Type.String() } },
          },
        },
      },
    },
    async (request, reply) => {
      const { params, query } = request
      const type = request.accepts().type(['application/json', CSV])
      if (typeof type !== 'string')
        throw new ServiceError('NOT_ACCEPTABLE', `available types are application/json and ${CSV}`)
      const model = registry.find(params.model)
      const { id, weights } = model.record
      const reference = query.relative_to === undefined ? undefined : registry.find(query.relative_to)
      // Diverged or damaged weights have no statistics, even if a result is cached.
      await registry.openWeights(model)
      if (reference) await registry.openWeights(reference)
      const options = {
        ...parseRecordOptions(query),
        ...(query.parameters === undefined ? {} : { match: query.parameters }),
      }
      const key = JSON.stringify([id, reference?.record.id ?? null, options])
      const json = await results.get(
        key,
        abortOnClose(reply),
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
      void reply.header('vary', 'accept')
      if (type === CSV) {
        const answer = JSON.parse(json) as Static<typeof ModelStatistics>
        return reply.type(`${CSV}; charset=utf-8; header=present`).send(formatStatisticsCsv(answer))
      }
      // The cache holds JSON, because writing the numbers takes longer than the lookup.
      const written = json as unknown as Static<typeof ModelStatistics>
      return reply.type('application/json; charset=utf-8').send(written)
    },
  )
}
