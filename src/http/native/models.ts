import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { fieldError } from '../../common/errors.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import type { Model } from '../../serving/models/model.ts'
import { parser } from '../../common/validation.ts'
import { maxWeightsBytes } from '../shared/forms.ts'
import { viewModel, type ProtocolFields } from './model-view.ts'
import { paginate } from '../shared/query.ts'
import { Nothing, Page } from '../shared/schema-parts.ts'
import {
  CreateForm,
  CreationHeaders,
  CreateRequest,
  Model as ModelSchema,
  ModelList,
  ModelName,
  ModelReference,
  DeleteQuery,
  NameRequest,
} from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Analysis } from '../../analysis/contract.ts'
import type { Config } from '../../config.ts'
import type { Engine } from '../../engine/contract.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Registry } from '../../serving/models/registry.ts'
import type { Store } from '../../serving/models/store.ts'
import type { WeightsReader } from '../../weights/reader-contract.ts'
import { readModelForm, type FormModel } from './model-form.ts'

const tags = ['models']
const parseCreate = parser(CreateRequest)
const prefersAsync = ({ headers }: FastifyRequest): boolean =>
  /\brespond-async\b/.test(String(headers['prefer']))
const creation = { 200: ModelSchema, 201: ModelSchema, 202: ModelSchema }

interface Creation extends Partial<FormModel> {
  readonly plan: Plan
  readonly name: string | undefined
  /** Whether the name may move from another model to this one. */
  readonly moves?: boolean
  /** Whether a call that sets a name creates it. Other calls report whether the model is new. */
  readonly nameIsNew?: boolean
}

interface Context {
  readonly registry: Registry
  readonly engine: Engine
  readonly protocolFields: ProtocolFields
  /** Used by forms. */
  readonly store: Store
  readonly analysis: Analysis
  readonly decoder: ImageDecoder
  readonly weightsReader: WeightsReader
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES' | 'MAX_IMAGE_PIXELS'>
}

/** Creates models from a specification, weights or images; names, lists and deletes them. */
export function registerModelRoutes(app: App, context: Context): void {
  const { registry, engine, config, protocolFields } = context

  async function view(model: Model): Promise<Static<typeof ModelSchema>> {
    return viewModel(model, registry.listNames(model.record.id), await engine.info(), protocolFields)
  }

  /** Creates a model and answers with 201 when it is ready, 200 if it existed, or 202 at once if the client prefers. */
  async function create(
    { plan, nameIsNew, ...options }: Creation,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Static<typeof ModelSchema>> {
    const { model, created, ready } = await registry.create(plan, options)
    void reply.code((nameIsNew ?? created) ? 201 : 200).header('location', `/v1/models/${model.record.id}`)
    if (model.state === 'building' && prefersAsync(request))
      void reply.code(202).header('preference-applied', 'respond-async')
    else await ready
    return view(model)
  }

  app.post(
    '/v1/models',
    {
      config: { scope: 'manage', bodies: 'disk', maxStreamedBytes: maxWeightsBytes(config) },
      schema: {
        operationId: 'createModel',
        tags,
        summary: 'Creates a model from a specification, weights or images; answers when it is ready and warm',
        body: {
          content: {
            'application/json': { schema: CreateRequest },
            'multipart/form-data': { schema: CreateForm },
          },
        },
        headers: CreationHeaders,
        response: creation,
      },
    },
    async (request, reply) => {
      if (!request.isMultipart()) {
        const { name, ...specification } = request.body as Static<typeof CreateRequest>
        return create({ plan: planRequest(specification, config.MAX_MODEL_PARAMETERS), name }, request, reply)
      }
      const { name, given } = await readModelForm(request, reply, context)
      return create({ ...given, name }, request, reply)
    },
  )

  app.put(
    '/v1/models/:model',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'nameModel',
        tags,
        summary: 'Names a model: a new one by its specification, or an existing one by its id',
        params: ModelName,
        body: NameRequest,
        headers: CreationHeaders,
        response: creation,
      },
    },
    async (request, reply) => {
      const { model: name } = request.params
      const { id, ...given } = request.body
      const nameIsNew = !registry.hasName(name)
      if (id === undefined) {
        const plan = planRequest(parseCreate(given), config.MAX_MODEL_PARAMETERS)
        return create({ plan, name, moves: true, nameIsNew }, request, reply)
      }
      if (Object.keys(given).length > 0)
        throw fieldError('#/id', 'excludes a specification; send an id or a specification, not both')
      const model = await registry.setName(name, id)
      void reply.code(nameIsNew ? 201 : 200).header('location', `/v1/models/${model.record.id}`)
      return view(model)
    },
  )

  app.get(
    '/v1/models',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listModels',
        tags,
        summary: 'Lists the models',
        querystring: Page,
        response: { 200: ModelList },
      },
    },
    async ({ query }) => {
      await registry.refresh()
      const { items, next_cursor } = paginate(registry.list(), query)
      return { models: await Promise.all(items.map(view)), next_cursor }
    },
  )

  app.get(
    '/v1/models/:model',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getModel',
        tags,
        summary: 'Gets a model',
        params: ModelReference,
        response: { 200: ModelSchema },
      },
    },
    ({ params }) => view(registry.find(params.model)),
  )

  app.delete(
    '/v1/models/:model',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deleteModel',
        tags,
        summary: 'Removes a name; by id or with model=true, a model and its names',
        params: ModelReference,
        querystring: DeleteQuery,
        response: { 204: Nothing('Removed') },
      },
    },
    async ({ params, query }, reply) => {
      await registry.delete(query.model === true ? registry.find(params.model).record.id : params.model)
      return reply.code(204).send()
    },
  )
}
