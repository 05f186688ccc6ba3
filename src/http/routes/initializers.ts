import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { Static } from 'typebox'
import { fieldError, ServiceError } from '../../errors.ts'
import { npyHeader } from '../../formats/npy.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { aliasesOf, definitionNamed, initializerNamed, lawOf } from '../../initializers/catalogue.ts'
import { definitions } from '../../initializers/definitions.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { InitializerDefinition } from '../../initializers/initializer.ts'
import type { TensorDraw } from '../../analysis/analysis.ts'
import { pageOf } from '../paging.ts'
import { recordOptions } from '../record-options.ts'
import { Content, Page, problems, toJson } from '../schemas/common.ts'
import {
  InitializerEntry,
  InitializerList,
  InitializerName,
  TensorRecord,
  TensorRequest,
} from '../schemas/initializers.ts'
import type { Services } from '../services.ts'

const MAX_JSON_VALUES = 10_000
const MAX_SAMPLE_VALUES = 2 ** 25
const NPY = 'application/x-npy'
const SAFETENSORS = 'application/vnd.safetensors'

/** The catalogue, and single tensors drawn from it without a model. */
export function initializerRoutes({ analysis, config }: Services): FastifyPluginCallbackTypebox {
  const tags = ['catalogue']

  function tensorOf(name: string, body: Static<typeof TensorRequest>, maxValues: number): TensorDraw {
    const { shape, seed = 0 } = body
    const initializer = initializerNamed(name, body.config ?? {})
    const size = sizeOf(shape)
    if (size > maxValues) {
      throw fieldError(
        '#/shape',
        `has ${size.toLocaleString('en')} values, more than the ${maxValues.toLocaleString('en')} allowed here`,
      )
    }
    lawOf(initializer, shape, '#/shape')
    return { initializer, shape, seed: typeof seed === 'number' ? [seed, 0] : [seed[0] ?? 0, seed[1] ?? 0] }
  }

  return (app, _options, done) => {
    app.get(
      '/v1/initializers',
      {
        schema: {
          tags,
          summary: 'All initializers',
          querystring: Page,
          response: { 200: InitializerList, ...problems },
        },
      },
      ({ query }) => {
        const { items, next_cursor } = pageOf(definitions, query)
        return { initializers: items.map(entryOf), next_cursor }
      },
    )

    app.get(
      '/v1/initializers/:name',
      {
        schema: {
          tags,
          summary: 'One initializer',
          params: InitializerName,
          response: { 200: InitializerEntry, ...problems },
        },
      },
      ({ params }) => entryOf(definitionNamed(params.name)),
    )

    app.post(
      '/v1/initializers/:name/statistics',
      {
        schema: {
          tags,
          summary: 'Statistics of one tensor, held against theory',
          params: InitializerName,
          body: TensorRequest,
          response: { 200: TensorRecord, ...problems },
        },
      },
      ({ params, body }) =>
        analysis.tensorStatistics(
          tensorOf(params.name, body, config.MAX_MODEL_PARAMETERS),
          recordOptions(body),
        ),
    )

    app.post(
      '/v1/initializers/:name/sample',
      {
        schema: {
          tags,
          summary: `The tensor itself: ${NPY}, ${SAFETENSORS} or JSON by Accept`,
          params: InitializerName,
          body: TensorRequest,
          response: { 200: Content('The tensor', ['application/json', NPY, SAFETENSORS]), ...problems },
        },
      },
      async (request, reply) => {
        const type = request.accepts().type(['application/json', NPY, SAFETENSORS])
        if (typeof type !== 'string')
          throw new ServiceError('NOT_ACCEPTABLE', `offered are application/json, ${NPY} and ${SAFETENSORS}`)
        const { shape } = request.body
        const json = type === 'application/json'
        if (json && sizeOf(shape) > MAX_JSON_VALUES) {
          throw fieldError(
            '#/shape',
            `has more than the ${String(MAX_JSON_VALUES)} values JSON carries; send "Accept: ${NPY}"`,
          )
        }
        const values = await analysis.sample(tensorOf(request.params.name, request.body, MAX_SAMPLE_VALUES))
        if (json) return reply.type(type).send(toJson({ shape, dtype: 'float32', values: [...values] }))
        const header =
          type === NPY ? npyHeader(shape) : safetensorsHeader([{ name: 'sample', shape }], { format: 'pt' })
        const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
        return reply.type(type).send(Buffer.concat([header, bytes]))
      },
    )
    done()
  }
}

function entryOf(definition: InitializerDefinition): Static<typeof InitializerEntry> {
  const { name, config, distribution, formula, reference, ranks, notes } = definition
  return {
    name,
    aliases: aliasesOf(definition),
    parameters: config,
    distribution,
    formula,
    reference,
    ranks,
    notes,
  }
}
