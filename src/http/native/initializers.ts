import Type, { type Static } from 'typebox'
import { fieldError, ServiceError } from '../../common/errors.ts'
import { npyHeader } from '../../formats/npy.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { catalogueEntry, initializerNamed, resolveLaw } from '../../initializers/catalogue.ts'
import { definitions } from '../../initializers/definitions.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Analysis, TensorDraw } from '../../analysis/contract.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { paginate, parseRecordOptions } from '../shared/query.ts'
import { Content, NPY, Page, SAFETENSORS, toJson } from '../shared/schema-parts.ts'
import {
  InitializerEntry,
  InitializerList,
  InitializerName,
  SampledTensor,
  TensorRecord,
  TensorRequest,
} from '../shared/initializer-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'

const MAX_JSON_VALUES = 10_000
const MAX_SAMPLE_VALUES = 2 ** 25

interface Context {
  readonly analysis: Analysis
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS'>
}

/** The catalogue of initializers, and single tensors sampled from it without a model. */
export function registerInitializerRoutes(app: App, { analysis, config }: Context): void {
  const tags = ['catalogue']

  function planDraw(
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
        summary: 'Lists the initializers',
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
        summary: 'Gets an initializer',
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
        summary: 'Samples a tensor and tests its statistics against theory',
        params: InitializerName,
        body: TensorRequest,
        response: { 200: TensorRecord },
      },
    },
    ({ params, body }, reply) =>
      analysis.tensorStatistics(
        planDraw(params.name, body, config.MAX_MODEL_PARAMETERS),
        parseRecordOptions(body),
        { signal: abortOnClose(reply) },
      ),
  )

  app.post(
    '/v1/initializers/:name/sample',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'sampleInitializer',
        tags,
        summary: `Samples a tensor as ${NPY}, ${SAFETENSORS} or JSON, by Accept`,
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
        throw new ServiceError(
          'NOT_ACCEPTABLE',
          `available types are application/json, ${NPY} and ${SAFETENSORS}`,
        )
      const { params, body } = request
      const { shape } = body
      const json = type === 'application/json'
      const draw = json
        ? planDraw(params.name, body, MAX_JSON_VALUES, ` as JSON; send "Accept: ${NPY}"`)
        : planDraw(params.name, body, MAX_SAMPLE_VALUES)
      // The body is the same as for statistics, so the same fields are checked.
      parseRecordOptions(body)
      const values = await analysis.sample(draw, { signal: abortOnClose(reply) })
      if (json) return reply.type(type).send(formatTensor(shape, values))
      const header =
        type === NPY ? npyHeader(shape) : safetensorsHeader([{ name: 'sample', shape }], { format: 'pt' })
      const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
      return reply.type(type).send(Buffer.concat([header, bytes]))
    },
  )
}

/** JSON of a tensor that keeps -0, which JSON.stringify writes as 0. */
function formatTensor(shape: readonly number[], values: Float32Array): string {
  const texts = Array.from(values, (value) => (Object.is(value, -0) ? '-0.0' : toJson(value)))
  return `{"shape":[${shape.join()}],"dtype":"float32","values":[${texts.join()}]}`
}
