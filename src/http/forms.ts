import type { Multipart } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { ServiceError } from '../errors.ts'

type Limits = NonNullable<Parameters<FastifyRequest['parts']>[0]>['limits']

/** The parts of a form as they come, each with a name: MALFORMED_REQUEST where one has none. */
export async function* partsOf(request: FastifyRequest, limits: Limits): AsyncGenerator<Multipart> {
  for await (const part of request.parts({ limits })) {
    // Its type leaves out that the head of a part may say nothing.
    if ((part.fieldname as string | undefined) === undefined)
      throw new ServiceError(
        'MALFORMED_REQUEST',
        'a part of the form has no name; send Content-Disposition: form-data; name="..."',
      )
    yield part
  }
}
