import type { Multipart } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { bodyTooLarge, fieldError, pointerTo, ServiceError } from '../../errors.ts'
import type { SpecificationRequest } from '../../network/specification.ts'
import { loadWeights, type LoadedWeights } from '../../serving/loading.ts'
import { assertName } from '../../serving/names.ts'
import { parser } from '../../validation.ts'
import { CreateRequest } from '../schemas/models.ts'
import type { Services } from '../services.ts'
import { jsonOf } from './uploads.ts'

const ORDER = 'send "spec" (JSON) once, then "weights" (a safetensors file) once'
const parseCreate = parser(CreateRequest)

/**
 * The form that makes a model of weights: `spec`, which a file of this service needs not, then `weights`. What it gives
 * is staged, for the caller to keep or discard; where it throws, nothing is left behind.
 */
export async function readWeightsForm(
  request: FastifyRequest,
  { store, analysis, config }: Services,
): Promise<{ name: string | undefined; loaded: LoadedWeights }> {
  const { MAX_MODEL_PARAMETERS: maxParameters, MAX_BODY_BYTES } = config
  const limits = { fileSize: 4 * maxParameters + MAX_BODY_BYTES, fieldSize: MAX_BODY_BYTES, parts: 4 }
  let name: string | undefined
  let specification: SpecificationRequest | undefined
  let loaded: LoadedWeights | undefined
  try {
    for await (const part of request.parts({ limits })) {
      const { fieldname } = part
      if (fieldname === 'spec' && !specification && !loaded) {
        ;({ name, ...specification } = parseCreate(await jsonPart(part, MAX_BODY_BYTES)))
        if (name !== undefined) assertName(name)
      } else if (fieldname === 'weights' && part.type === 'file' && !loaded) {
        const tooLarge = new ServiceError(
          'BODY_TOO_LARGE',
          'the weights are larger than any network MAX_MODEL_PARAMETERS allows',
        )
        // A small file has come in whole before anyone could listen.
        if (part.file.truncated) throw tooLarge
        part.file.once('limit', () => part.file.destroy(tooLarge))
        loaded = await loadWeights(part.file, specification, { store, analysis, maxParameters })
      } else {
        const known = fieldname === 'spec' || fieldname === 'weights'
        throw fieldError(
          pointerTo('#', fieldname),
          `${known ? 'comes too late' : 'is not a part of this form'}; ${ORDER}`,
        )
      }
    }
    if (!loaded) throw fieldError('#/weights', `is required; ${ORDER}`)
    return { name, loaded }
  } catch (error) {
    await loaded?.weights.discard()
    throw error
  }
}

async function jsonPart(part: Multipart, maxBytes: number): Promise<unknown> {
  if (part.type === 'field') {
    if (part.valueTruncated) throw bodyTooLarge()
    // A field that says it is JSON comes parsed.
    return typeof part.value === 'string' ? jsonOf(part.value, 'the part "spec"') : part.value
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of part.file as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw bodyTooLarge()
    chunks.push(chunk)
  }
  return jsonOf(Buffer.concat(chunks).toString(), 'the part "spec"')
}
