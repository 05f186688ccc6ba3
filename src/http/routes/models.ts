import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { fieldError, ServiceError } from '../../errors.ts'
import { planRequest } from '../../network/plan.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { loadWeights, type LoadedWeights } from '../../serving/loading.ts'
import type { Model } from '../../serving/model.ts'
import { parser } from '../../validation.ts'
import { viewModel } from '../model-view.ts'
import { pageOf } from '../paging.ts'
import { Bytes, Page, problems } from '../schemas/common.ts'
import {
  CreateRequest,
  Model as ModelSchema,
  ModelList,
  ModelName,
  ModelReference,
  NameRequest,
} from '../schemas/models.ts'
import type { Services } from '../services.ts'

const tags = ['models']
const parseCreate = parser(CreateRequest)
/** A specification is text of a few kilobytes; labels make most of it. */
const MAX_SPEC_BYTES = 4 * 2 ** 20

/** Models: created from a specification or from weights, named, listed, deleted. */
export function modelRoutes(services: Services): FastifyPluginCallbackTypebox {
  const { registry, engine, config } = services

  async function view(model: Model): Promise<Static<typeof ModelSchema>> {
    return viewModel(model, registry.namesOf(model.record.id), await engine.info())
  }

  /** Creates and answers: 201 when ready, 200 where it was there, 202 at once where the client prefers that. */
  async function create(
    { name, ...specification }: Static<typeof CreateRequest>,
    request: FastifyRequest,
    reply: FastifyReply,
    loaded?: LoadedWeights,
  ): Promise<Static<typeof ModelSchema>> {
    const plan = loaded?.plan ?? planRequest(specification, config.MAX_MODEL_PARAMETERS)
    const { model, created, ready } = await registry.create(plan, { name, ...loaded })
    void reply.header('location', `/v1/models/${model.record.id}`)
    if (created && /\brespond-async\b/.test(String(request.headers['prefer']))) {
      void reply.code(202).header('preference-applied', 'respond-async')
      return view(model)
    }
    await ready
    void reply.code(created ? 201 : 200)
    return view(model)
  }

  async function createFromParts(
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<Static<typeof ModelSchema>> {
    const { store, analysis } = services
    let given: Static<typeof CreateRequest> | undefined
    let loaded: LoadedWeights | undefined
    const limits = {
      fileSize: 4 * config.MAX_MODEL_PARAMETERS + config.MAX_BODY_BYTES,
      fieldSize: MAX_SPEC_BYTES,
      parts: 4,
    }
    for await (const part of request.parts({ limits })) {
      if (part.fieldname === 'spec') {
        given = parseCreate(jsonOf(part.type === 'file' ? await part.toBuffer() : part.value))
      } else if (part.fieldname === 'weights' && part.type === 'file' && !loaded) {
        const { name: _, ...specification } = given ?? {}
        const tooLarge = new ServiceError(
          'BODY_TOO_LARGE',
          'the weights are larger than any network MAX_MODEL_PARAMETERS allows',
        )
        // A small file has come in whole before anyone could listen.
        if (part.file.truncated) throw tooLarge
        part.file.once('limit', () => part.file.destroy(tooLarge))
        loaded = await loadWeights(part.file, given && (specification as SpecificationRequest), {
          store,
          analysis,
          maxParameters: config.MAX_MODEL_PARAMETERS,
        })
      } else {
        await loaded?.weights.discard()
        throw fieldError(
          `#/${part.fieldname}`,
          'is not a part of this form; send "spec" (JSON), then "weights" (a safetensors file)',
        )
      }
    }
    if (!loaded) throw fieldError('#/weights', 'is required: a safetensors file, after "spec"')
    return create({ architecture: '', ...given }, request, reply, loaded)
  }

  return (app, _options, done) => {
    app.post(
      '/v1/models',
      {
        schema: {
          tags,
          summary: 'Creates a model from a specification, or from weights; answers when it is ready and warm',
          body: {
            content: {
              'application/json': { schema: CreateRequest },
              'multipart/form-data': {
                schema: Bytes('Part `spec` (JSON) first, then `weights` (safetensors)'),
              },
            },
          },
          response: { 200: ModelSchema, 201: ModelSchema, 202: ModelSchema, ...problems },
        },
      },
      (request, reply) =>
        request.isMultipart()
          ? createFromParts(request, reply)
          : create(request.body as Static<typeof CreateRequest>, request, reply),
    )

    app.put(
      '/v1/models/:name',
      {
        schema: {
          tags,
          summary: 'Gives a model a name: a specification creates it, an id points to one that is there',
          params: ModelName,
          body: NameRequest,
          response: { 200: ModelSchema, 201: ModelSchema, 202: ModelSchema, ...problems },
        },
      },
      async (request, reply) => {
        const { name } = request.params
        const { id, ...specification } = request.body
        if (id === undefined) return create({ ...parseCreate(specification), name }, request, reply)
        if (Object.keys(specification).length > 0)
          throw fieldError('#/id', 'goes alone; give an id or a specification, not both')
        return view(await registry.setName(name, id))
      },
    )

    app.get(
      '/v1/models',
      {
        schema: { tags, summary: 'All models', querystring: Page, response: { 200: ModelList, ...problems } },
      },
      async ({ query }) => {
        const { items, next_cursor } = pageOf(registry.list(), query)
        return { models: await Promise.all(items.map(view)), next_cursor }
      },
    )

    app.get(
      '/v1/models/:model',
      {
        schema: {
          tags,
          summary: 'One model',
          params: ModelReference,
          response: { 200: ModelSchema, ...problems },
        },
      },
      ({ params }) => view(registry.find(params.model)),
    )

    app.delete(
      '/v1/models/:model',
      {
        schema: {
          tags,
          summary: 'Removes a name, or by id a model and its names',
          params: ModelReference,
          response: { 204: {}, ...problems },
        },
      },
      async ({ params }, reply) => {
        await registry.delete(params.model)
        return reply.code(204).send()
      },
    )
    done()
  }
}

function jsonOf(text: unknown): unknown {
  try {
    return JSON.parse(String(text))
  } catch {
    throw new ServiceError('MALFORMED_REQUEST', 'the part "spec" is not JSON')
  }
}
