import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { fieldError, pointerTo } from '../../common/errors.ts'
import type { Model } from '../../serving/models/model.ts'
import { bodyOf } from '../shared/raw-body.ts'
import type { App, Services } from '../shared/services.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, namedModels, tags } from './find-model.ts'
import { flagOf, objectOf, parametersOf } from './parameters.ts'
import { requestJson } from './request.ts'
import { RepositoryIndex } from './schemas.ts'
import { Nothing } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'

type IndexEntry = Static<typeof RepositoryIndex>[number]

/** The state of a model as a repository has it. */
export function repositoryState({ state, lastError }: Model): Pick<IndexEntry, 'state' | 'reason'> {
  if (state === 'ready') return { state: 'READY', reason: '' }
  if (state === 'building') return { state: 'LOADING', reason: '' }
  if (state === 'failed') return { state: 'UNAVAILABLE', reason: lastError?.detail ?? 'it failed' }
  return { state: 'UNAVAILABLE', reason: 'unloaded; a load, or the next inference, builds it again' }
}

/** The repository: what is there, and what of it the engine holds. */
export function repositoryRoutes(app: App, { registry }: Services): void {
  const read = async (request: FastifyRequest) => {
    const bytes = bodyOf(request)
    return bytes.length === 0 ? {} : objectOf(await requestJson(bytes), '#')
  }
  const json = (properties: object) => ({
    required: false,
    content: {
      'application/json': { schema: properties },
      'application/octet-stream': { schema: properties },
    },
  })
  const parameters = (also: object) =>
    json({ type: 'object', properties: { parameters: { type: ['object', 'null'], ...also } } })
  const nothing = { 200: Nothing('Done') }

  app.post(
    '/v2/repository/index',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listRepository',
        tags,
        summary: 'All models and their states',
        body: json(Type.Object({ ready: Type.Optional(Type.Boolean()) })),
        response: { 200: RepositoryIndex },
      },
    },
    async (request) => {
      const { ready = false } = await read(request)
      if (typeof ready !== 'boolean') throw fieldError('#/ready', 'must be true or false')
      await registry.refresh()
      return namedModels(registry)
        .map(({ model, name }) => ({ name, version: VERSION, ...repositoryState(model) }))
        .filter(({ state }) => !ready || state === 'READY')
    },
  )

  app.post(
    '/v2/repository/models/:model/load',
    {
      config: { scope: 'manage' },
      schema: {
        ...{ operationId: 'loadModel', tags, params: ModelReference, response: nothing },
        body: parameters({ additionalProperties: false }),
        summary: 'Has the engine hold a model; answers when it is ready',
      },
    },
    async (request, reply) => {
      const { model } = findModel(registry, request.params)
      const [override] = Object.keys(parametersOf(await read(request), '#'))
      if (override !== undefined)
        throw fieldError(
          pointerTo('#/parameters', override),
          'cannot be set: a model is its specification; create another with POST /v1/models',
        )
      await registry.ensureReady(model.record.id)
      return reply.code(200).send()
    },
  )

  app.post(
    '/v2/repository/models/:model/unload',
    {
      config: { scope: 'manage' },
      schema: {
        ...{ operationId: 'unloadModel', tags, params: ModelReference, response: nothing },
        body: parameters({}),
        summary: "Frees the engine's memory of a model; it stays, and is built again when it is asked for",
      },
    },
    async (request, reply) => {
      const { model } = findModel(registry, request.params)
      // No model depends on another, so the flag changes nothing.
      flagOf(parametersOf(await read(request), '#'), 'unload_dependents', '#/parameters')
      await registry.unload(model.record.id)
      return reply.code(200).send()
    },
  )
}
