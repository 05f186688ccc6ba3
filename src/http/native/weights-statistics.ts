import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import Type from 'typebox'
import { fieldError, pointerTo, ServiceError } from '../../common/errors.ts'
import type { StagedWeights, Store } from '../../serving/models/store.ts'
import { hangUp } from '../shared/client-abort.ts'
import { Bytes, SAFETENSORS } from '../shared/schema-parts.ts'
import { FitQuery, FittedWeights } from '../shared/model-schemas.ts'
import type { App, Services } from '../shared/services.ts'
import { largestWeights, partsOf } from '../shared/forms.ts'

const OCTETS = 'application/octet-stream'
/** No type, and curl's default, say nothing of the content. */
const TYPES = ['', OCTETS, SAFETENSORS, 'application/x-www-form-urlencoded']

/** Weights of any network, and which initializers they may come from. In a scope of its own: bodies are streams here. */
export function fitRoutes(app: App, { analysis, store, config }: Services): void {
  const maxBytes = largestWeights(config)
  app.removeContentTypeParser(['*', 'application/json'])
  // Onto the disk, not into memory.
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
        summary:
          'Whose weights are these: which initializers the tensors of a safetensors file may come from',
        querystring: FitQuery,
        body: {
          content: {
            [OCTETS]: { schema: Bytes('A safetensors file') },
            [SAFETENSORS]: { schema: Bytes('The same') },
            'multipart/form-data': { schema: Type.Object({ weights: Bytes('The same') }) },
          },
        },
        response: { 200: FittedWeights },
      },
    },
    async (request, reply) => {
      const weights = await stageWeights(request, store, maxBytes)
      try {
        return await analysis.fit(weights.path, request.query, { signal: hangUp(reply) })
      } finally {
        await weights.discard()
      }
    },
  )
}

async function stageWeights(request: FastifyRequest, store: Store, maxBytes: number): Promise<StagedWeights> {
  if (!request.isMultipart()) {
    const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
    if (!TYPES.includes(type))
      throw new ServiceError(
        'UNSUPPORTED_MEDIA_TYPE',
        `send the file as ${OCTETS}, or as a form's part "weights"`,
      )
    const { body } = request
    if (body instanceof Readable) return store.createTemp(limited(body, maxBytes, request))
    throw new ServiceError('MALFORMED_REQUEST', `the body is empty; send a safetensors file as ${OCTETS}`)
  }
  let weights: StagedWeights | undefined
  try {
    for await (const part of partsOf(request, { limits: { parts: 2, fileSize: maxBytes + 1 } })) {
      if (part.fieldname !== 'weights' || part.type !== 'file' || weights)
        throw fieldError(pointerTo('#', part.fieldname), 'is not wanted here; send "weights" once, as a file')
      weights = await store.createTemp(limited(part.file, maxBytes, request))
    }
    if (!weights) throw fieldError('#/weights', 'is required: a safetensors file')
    return weights
  } catch (error) {
    await weights?.discard()
    throw error
  }
}

/**
 * A stream as long as it is no larger. Its rest stays unread, so that the refusal can still be answered; what is passed
 * on goes onto the disk and holds no room.
 */
function limited(source: Readable, maxBytes: number, { permit }: FastifyRequest): Readable {
  return Readable.from(
    (async function* () {
      let bytes = 0
      for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        bytes += chunk.length
        const sentence = 'the weights are larger than any network MAX_MODEL_PARAMETERS allows'
        if (bytes > maxBytes) throw new ServiceError('BODY_TOO_LARGE', sentence)
        yield chunk
        permit?.releaseBytes(chunk.length)
      }
    })(),
    { objectMode: false },
  )
}
