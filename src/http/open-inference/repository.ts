import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { fieldError, pointerTo } from '../../common/errors.ts'
import type { Model } from '../../serving/models/model.ts'
import { readRawBody } from '../shared/raw-bodies.ts'
import type { App } from '../shared/app-instance.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, listNamedModels, tags } from './find-model.ts'
import { readFlag, parseObject, parseParameters } from './parameters.ts'
import { parseJson } from './request.ts'
import { RepositoryIndex } from './schemas.ts'
import { Nothing } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'

type IndexEntry = Static<typeof RepositoryIndex>[number]

/** Maps the state of a model to a repository state. */
export function viewRepositoryState({ state, lastError }: Model): Pick<IndexEntry, 'state' | 'reason'> {
  if (state === 'ready') return { state: 'READY', reason: '' }
  if (state === 'building') return { state: 'LOADING', reason: '' }
  if (state === 'failed') return { state: 'UNAVAILABLE', reason: lastError?.detail ?? 'the build failed' }
  return { state: 'UNAVAILABLE', reason: 'unloaded; a load, or the next inference, builds it again' }
}

interface Context {
  readonly registry: Registry
}

/** The model repository: lists models with their state, loads and unloads them. */
export function registerRepositoryRoutes(app: App, { registry }: Context): void {
  const readBody = async (request: FastifyRequest) => {
    const bytes = readRawBody(request)
    return bytes.length === 0 ? {} : parseObject(await parseJson(bytes), '#')
  }
  const json = (properties: object) => ({
    required: false,
    content: {
      'application/json': { schema: properties },
      'application/octet-stream': { schema: properties },
    },
  })
  const parameters = (options: object) =>
    json({ type: 'object', properties: { parameters: { type: ['object', 'null'], ...options } } })
  const nothing = { 200: Nothing('Done') }

  app.post(
    '/v2/repository/index',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listRepository',
        tags,
        summary: 'Lists all models with their state',
        body: json(Type.Object({ ready: Type.Optional(Type.Boolean()) })),
        response: { 200: RepositoryIndex },
      },
    },
    async (request) => {
      const { ready = false } = await readBody(request)
      if (typeof ready !== 'boolean') throw fieldError('#/ready', 'must be true or false')
      await registry.refresh()
      return listNamedModels(registry)
        .map(({ model, name }) => ({ name, version: VERSION, ...viewRepositoryState(model) }))
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
        summary: 'Loads a model into the engine; answers when it is ready',
      },
    },
    async (request, reply) => {
      const { model } = findModel(registry, request.params)
      const [override] = Object.keys(parseParameters(await readBody(request), '#'))
      if (override !== undefined)
        throw fieldError(
          pointerTo('#/parameters', override),
          'cannot be overridden: a model is immutable; create another with POST /v1/models',
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
        summary: 'Unloads a model from the engine; the next request for it builds it again',
      },
    },
    async (request, reply) => {
      const { model } = findModel(registry, request.params)
      // Models are independent, so the flag has no effect.
      readFlag(parseParameters(await readBody(request), '#'), 'unload_dependents', '#/parameters')
      await registry.unload(model.record.id)
      return reply.code(200).send()
    },
  )
}
