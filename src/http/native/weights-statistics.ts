import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import Type from 'typebox'
import { fieldError, pointerTo, ServiceError } from '../../common/errors.ts'
import type { StagedWeights, Store } from '../../serving/models/store.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { Bytes, SAFETENSORS } from '../shared/schema-parts.ts'
import { FitQuery, FittedWeights } from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Analysis } from '../../analysis/contract.ts'
import type { Config } from '../../config.ts'
import { maxWeightsBytes, readParts } from '../shared/forms.ts'
import { streamToDisk } from '../shared/stream-to-disk.ts'

const OCTETS = 'application/octet-stream'
/** Includes no type and curl's default, which do not identify the content. */
const TYPES = ['', OCTETS, SAFETENSORS, 'application/x-www-form-urlencoded']

interface Context {
  readonly analysis: Analysis
  readonly store: Store
  readonly config: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES'>
}

/** Finds the initializers that explain the weights of any network. Bodies are streams in its scope. */
export function registerFitRoutes(app: App, { analysis, store, config }: Context): void {
  const maxBytes = maxWeightsBytes(config)
  app.removeContentTypeParser(['*', 'application/json'])
  app.addContentTypeParser('*', (_request, payload, done) => {
    done(null, payload)
  })

  app.post(
    '/v1/weights/statistics',
    {
      config: { scope: 'read', bodies: 'disk', maxStreamedBytes: maxBytes },
      schema: {
        operationId: 'fitInitializers',
        tags: ['models'],
        summary: 'Finds the initializers that the tensors of a safetensors file may come from',
        querystring: FitQuery,
        body: {
          content: {
            [OCTETS]: { schema: Bytes('A safetensors file') },
            [SAFETENSORS]: { schema: Bytes('Same as application/octet-stream') },
            'multipart/form-data': {
              schema: Type.Object({ weights: Bytes('Same as application/octet-stream') }),
            },
          },
        },
        response: { 200: FittedWeights },
      },
    },
    async (request, reply) => {
      const weights = await stageWeights(request, store, maxBytes)
      try {
        return await analysis.fit(weights.path, request.query, { signal: abortOnClose(reply) })
      } finally {
        await weights.discard()
      }
    },
  )
}

async function stageWeights(request: FastifyRequest, store: Store, maxBytes: number): Promise<StagedWeights> {
  const budget = { remaining: maxBytes }
  if (!request.isMultipart()) {
    const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
    if (!TYPES.includes(type))
      throw new ServiceError(
        'UNSUPPORTED_MEDIA_TYPE',
        `send the file as ${OCTETS}, or as the part "weights" of a form`,
      )
    const { body } = request
    if (body instanceof Readable) return store.createTemp(streamToDisk(body, budget, request))
    throw new ServiceError('MALFORMED_REQUEST', `the body is empty; send a safetensors file as ${OCTETS}`)
  }
  let weights: StagedWeights | undefined
  try {
    for await (const part of readParts(request, { limits: { parts: 2, fileSize: maxBytes + 1 } })) {
      if (part.fieldname !== 'weights' || part.type !== 'file' || weights)
        throw fieldError(pointerTo('#', part.fieldname), 'is not expected; send "weights" once, as a file')
      weights = await store.createTemp(streamToDisk(part.file, budget, request))
    }
    if (!weights) throw fieldError('#/weights', 'is required: a safetensors file')
    return weights
  } catch (error) {
    await weights?.discard()
    throw error
  }
}
