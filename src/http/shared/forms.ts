import type { Multipart } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { bodyTooLarge, ServiceError } from '../../common/errors.ts'

/** The largest weights file of any network within MAX_MODEL_PARAMETERS, plus its header. */
export function maxWeightsBytes({
  MAX_MODEL_PARAMETERS,
  MAX_BODY_BYTES,
}: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES'>): number {
  return 4 * MAX_MODEL_PARAMETERS + MAX_BODY_BYTES
}

export function weightsTooLarge(): ServiceError {
  return new ServiceError(
    'BODY_TOO_LARGE',
    'the weights are larger than any network MAX_MODEL_PARAMETERS allows',
  )
}

/** Reads a small part; BODY_TOO_LARGE above a limit. */
export async function readPart(file: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of file) {
    size += chunk.length
    if (size > maxBytes) throw bodyTooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

type Options = Parameters<FastifyRequest['parts']>[0]

/** Reads the parts of a form in order; MALFORMED_REQUEST for a part without a name. */
export async function* readParts(request: FastifyRequest, options: Options): AsyncGenerator<Multipart> {
  for await (const part of decodeForm(request).parts(options)) {
    // The type of the plugin lacks the missing name.
    if ((part.fieldname as string | undefined) === undefined)
      throw new ServiceError(
        'MALFORMED_REQUEST',
        'a part of the form has no name; send Content-Disposition: form-data; name="..."',
      )
    yield part
  }
}

/** The multipart plugin reads the form and its boundary from `raw`. For a compressed form, `raw` is the decoder. */
function decodeForm(request: FastifyRequest): FastifyRequest {
  const { decodedBody } = request
  if (decodedBody === undefined) return request
  const raw = Object.assign(decodedBody, { headers: request.headers })
  return Object.create(request, { raw: { value: raw } }) as FastifyRequest
}
