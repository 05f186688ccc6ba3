import type { Multipart } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'

type Options = Parameters<FastifyRequest['parts']>[0]

/** The parts of a form as they come, each with a name: MALFORMED_REQUEST where one has none. */
export async function* partsOf(request: FastifyRequest, options: Options): AsyncGenerator<Multipart> {
  for await (const part of request.parts(options)) {
    // Its type leaves out that the head of a part may say nothing.
    if ((part.fieldname as string | undefined) === undefined)
      throw new ServiceError(
        'MALFORMED_REQUEST',
        'a part of the form has no name; send Content-Disposition: form-data; name="..."',
      )
    yield part
  }
}
