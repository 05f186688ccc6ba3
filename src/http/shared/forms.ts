import type { Multipart } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import type { Config } from '../../config.ts'
import { ServiceError } from '../../common/errors.ts'
import { decodedBody } from './body-encoding.ts'

/** The largest file of weights that any network within MAX_MODEL_PARAMETERS has, with room for its header. */
export function largestWeights({
  MAX_MODEL_PARAMETERS,
  MAX_BODY_BYTES,
}: Pick<Config, 'MAX_MODEL_PARAMETERS' | 'MAX_BODY_BYTES'>): number {
  return 4 * MAX_MODEL_PARAMETERS + MAX_BODY_BYTES
}

type Options = Parameters<FastifyRequest['parts']>[0]

/** The parts of a form as they come, each with a name: MALFORMED_REQUEST where one has none. */
export async function* partsOf(request: FastifyRequest, options: Options): AsyncGenerator<Multipart> {
  for await (const part of decodedForm(request).parts(options)) {
    // Its type leaves out that the head of a part may say nothing.
    if ((part.fieldname as string | undefined) === undefined)
      throw new ServiceError(
        'MALFORMED_REQUEST',
        'a part of the form has no name; send Content-Disposition: form-data; name="..."',
      )
    yield part
  }
}

/** The plugin reads a form from `raw`, and its boundary from the headers there; a compressed one is read from its decoder. */
function decodedForm(request: FastifyRequest): FastifyRequest {
  const body = decodedBody(request)
  if (body === undefined) return request
  const raw = Object.assign(body, { headers: request.headers })
  return Object.create(request, { raw: { value: raw } }) as FastifyRequest
}
