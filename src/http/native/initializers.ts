import Type, { type Static } from 'typebox'
import { fieldError, ServiceError } from '../../common/errors.ts'
import { npyHeader } from '../../formats/npy.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { catalogueEntry, initializerNamed, resolveLaw } from '../../initializers/catalogue.ts'
import { definitions } from '../../initializers/definitions.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { TensorDraw } from '../../analysis/contract.ts'
import { hangUp } from '../shared/client-abort.ts'
import { paginate } from '../shared/query.ts'
import { recordOptions } from '../shared/query.ts'
import { Content, NPY, Page, SAFETENSORS, toJson } from '../shared/schema-parts.ts'
import {
  InitializerEntry,
  InitializerList,
  InitializerName,
  SampledTensor,
  TensorRecord,
  TensorRequest,
} from '../shared/initializer-schemas.ts'
import type { App, Services } from '../shared/services.ts'

const MAX_JSON_VALUES = 10_000
const MAX_SAMPLE_VALUES = 2 ** 25

/** The catalogue, and single tensors drawn from it without a model. */
export function initializerRoutes(app: App, { analysis, config }: Services): void {
  const tags = ['catalogue']

  function sampleTensor(
    name: string,
    body: Static<typeof TensorRequest>,
    maxValues: number,
    cure = '',
  ): TensorDraw {
    const { shape, seed = 0 } = body
    const initializer = initializerNamed(name, body.config ?? {})
    const size = sizeOf(shape)
    if (size > maxValues) {
      throw fieldError(
        '#/shape',
        `has ${size.toLocaleString('en')} values, more than the ${maxValues.toLocaleString('en')} allowed here${cure}`,
      )
    }
    resolveLaw(initializer, shape, '#/shape', { config: '#/config' })
    return { initializer, shape, seed: typeof seed === 'number' ? [seed, 0] : [seed[0] ?? 0, seed[1] ?? 0] }
  }

  app.get(
    '/v1/initializers',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listInitializers',
        tags,
        summary: 'All initializers',
        querystring: Page,
        response: { 200: InitializerList },
      },
    },
    ({ query }) => {
      const { items, next_cursor } = paginate(definitions, query)
      return { initializers: items.map(({ name }) => catalogueEntry(name)), next_cursor }
    },
  )

  app.get(
    '/v1/initializers/:name',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getInitializer',
        tags,
        summary: 'One initializer',
        params: InitializerName,
        response: { 200: InitializerEntry },
      },
    },
    ({ params }) => catalogueEntry(params.name),
  )

  app.post(
    '/v1/initializers/:name/statistics',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'measureInitializer',
        tags,
        summary: 'Statistics of one tensor, held against theory',
        params: InitializerName,
        body: TensorRequest,
        response: { 200: TensorRecord },
      },
    },
    ({ params, body }, reply) =>
      analysis.tensorStatistics(
        sampleTensor(params.name, body, config.MAX_MODEL_PARAMETERS),
        recordOptions(body),
        { signal: hangUp(reply) },
      ),
  )

  app.post(
    '/v1/initializers/:name/sample',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'sampleInitializer',
        tags,
        summary: `The tensor itself: ${NPY}, ${SAFETENSORS} or JSON by Accept`,
        params: InitializerName,
        body: TensorRequest,
        response: {
          200: {
            description: 'The tensor',
            content: {
              'application/json': { schema: Type.Unsafe<unknown>(SampledTensor) },
              ...Content('', [NPY, SAFETENSORS]).content,
            },
          },
        },
      },
    },
    async (request, reply) => {
      const type = request.accepts().type(['application/json', NPY, SAFETENSORS])
      if (typeof type !== 'string')
        throw new ServiceError('NOT_ACCEPTABLE', `offered are application/json, ${NPY} and ${SAFETENSORS}`)
      const { params, body } = request
      const { shape } = body
      const json = type === 'application/json'
      const draw = json
        ? sampleTensor(params.name, body, MAX_JSON_VALUES, ` as JSON; send "Accept: ${NPY}"`)
        : sampleTensor(params.name, body, MAX_SAMPLE_VALUES)
      // It is the same body as that of statistics, and wrong in the same cases.
      recordOptions(body)
      const values = await analysis.sample(draw, { signal: hangUp(reply) })
      if (json) return reply.type(type).send(tensorJson(shape, values))
      const header =
        type === NPY ? npyHeader(shape) : safetensorsHeader([{ name: 'sample', shape }], { format: 'pt' })
      const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
      return reply.type(type).send(Buffer.concat([header, bytes]))
    },
  )
}

/** JSON.stringify writes -0 as 0. */
function tensorJson(shape: readonly number[], values: Float32Array): string {
  const texts = Array.from(values, (value) => (Object.is(value, -0) ? '-0.0' : toJson(value)))
  return `{"shape":[${shape.join()}],"dtype":"float32","values":[${texts.join()}]}`
}
