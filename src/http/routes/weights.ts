import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { TensorReader } from '../../analysis/analysis.ts'
import { fieldError, ServiceError } from '../../errors.ts'
import { npyHeader } from '../../formats/npy.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { nameMatcher } from '../../network/globs.ts'
import { planSpecification } from '../../network/plan.ts'
import type { Parameter } from '../../network/shapes.ts'
import { METADATA } from '../../serving/loading.ts'
import { hangUp } from '../hang-up.ts'
import { Content, NPY, SAFETENSORS } from '../schemas/common.ts'
import { ModelReference, WeightsQuery } from '../schemas/models.ts'
import type { App, Services } from '../services.ts'

/** Safetensors under either of its names, or one tensor as npy. */
const OFFERED = [SAFETENSORS, 'application/octet-stream', NPY]
/** Values asked of the analysis process at once: 16 MB. */
const CHUNK = 2 ** 22
const FLOAT32_BYTES = 4

/** A model's true weights as a file, streamed: never more than a chunk in memory. */
export function weightsRoutes(app: App, { registry, analysis }: Services): void {
  app.get(
    '/v1/models/:model/weights',
    {
      schema: {
        tags: ['models'],
        summary: 'All weights as safetensors, or one tensor as npy; with ETag and ranges',
        params: ModelReference,
        querystring: WeightsQuery,
        response: {
          200: Content('The weights', OFFERED),
          206: Content('A range of them', OFFERED),
          304: { description: 'The client has them' },
        },
      },
    },
    async (request, reply) => {
      const model = registry.find(request.params.model)
      const glob = request.query.parameters
      const matches = glob === undefined ? () => true : nameMatcher(glob)
      const { id, specification } = model.record
      const tensors = planSpecification(specification).parameters.filter(({ name }) => matches(name))
      if (tensors.length === 0)
        throw fieldError('#/parameters', `${JSON.stringify(glob)} matches no parameter`)
      const type = request.accepts().type(OFFERED)
      if (typeof type !== 'string')
        throw new ServiceError('NOT_ACCEPTABLE', `offered are ${OFFERED.join(', ')}`)
      if (type === NPY && tensors.length > 1) {
        throw fieldError(
          '#/parameters',
          `must match one tensor for ${NPY}; it matches ${String(tensors.length)}`,
        )
      }
      const metadata = {
        format: 'pt',
        [METADATA.specification]: JSON.stringify(specification),
        [METADATA.id]: id,
        [METADATA.weights]: await registry.digestOf(model),
      }
      const header = type === NPY ? npyHeader(tensors[0]?.shape ?? []) : safetensorsHeader(tensors, metadata)
      const length =
        header.length + tensors.reduce((sum, { shape }) => sum + FLOAT32_BYTES * sizeOf(shape), 0)
      const etag = `"${createHash('sha256').update(id).update(header).digest('hex').slice(0, 32)}"`
      void reply.headers({
        etag,
        vary: 'accept',
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=0, must-revalidate',
      })
      if (knows(request.headers['if-none-match'], etag)) return reply.code(304).send()

      const range = rangeOf(request.headers.range, request.headers['if-range'], etag, length)
      if (range === 'outside') {
        void reply.header('content-range', `bytes */${String(length)}`)
        throw new ServiceError('RANGE_NOT_SATISFIABLE', `the content has ${String(length)} bytes`)
      }
      const { start, end } = range ?? { start: 0, end: length }
      if (range)
        void reply
          .code(206)
          .header('content-range', `bytes ${String(start)}-${String(end - 1)}/${String(length)}`)
      void reply.header('content-length', String(end - start)).type(type)
      // The content of an answer to HEAD would be drawn only to be thrown away.
      if (request.method === 'HEAD') return reply.send(Readable.from([], { objectMode: false }))
      const read = await analysis.reader(registry.weightsOf(model), { signal: hangUp(reply) })
      return reply.send(Readable.from(bytesOf(header, tensors, { start, end }, read), { objectMode: false }))
    },
  )
}

/** Whether If-None-Match names this tag (RFC 9110, 13.1.2): it compares weakly, and a star is any. */
function knows(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? []
  return tags.includes(etag) || tags.includes('*')
}

interface Range {
  readonly start: number
  /** One past the last byte. */
  readonly end: number
}

/** The file's bytes from start to end: header, then tensors chunk by chunk, drawn or read as they are wanted. */
async function* bytesOf(
  header: Buffer,
  tensors: readonly Parameter[],
  { start, end }: Range,
  read: TensorReader,
): AsyncGenerator<Buffer> {
  if (start < header.length) yield header.subarray(start, end)
  let position = header.length
  for (const { name, shape } of tensors) {
    const size = sizeOf(shape)
    for (let offset = 0; offset < size; offset += CHUNK) {
      const count = Math.min(CHUNK, size - offset)
      const chunkEnd = position + count * FLOAT32_BYTES
      if (chunkEnd > start && position < end) {
        const values = await read(name, offset, count)
        const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength)
        yield bytes.subarray(Math.max(0, start - position), Math.min(bytes.length, end - position))
      }
      position = chunkEnd
    }
  }
}

/** One byte range (RFC 9110, 14); anything else asks for the whole. */
function rangeOf(
  header: string | undefined,
  ifRange: string | string[] | undefined,
  etag: string,
  length: number,
): Range | 'outside' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (!match || (ifRange !== undefined && ifRange !== etag)) return undefined
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const start = first === '' ? Math.max(0, length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? length : Math.min(length, Number(last) + 1)
  return start >= length || start >= end ? 'outside' : { start, end }
}
