import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { createGunzip, createInflate } from 'node:zlib'
import { bodyTooLarge, ServiceError } from '../errors.ts'
import type { App } from './services.ts'

/**
 * What the protocols of others ask of a scope: every body is bytes, whatever type it is said to have or none at all (what
 * clients send is curl's default, `application/octet-stream` for JSON, or nothing), and JSON is answered as plain
 * `application/json`. Their errors are the error handler's.
 */
export function takeBytes(scope: App): void {
  scope.removeAllContentTypeParsers()
  scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body)
  })
  scope.addHook('onRequest', ({ headers }, _reply, done) => {
    delete headers['content-type']
    done()
  })
  scope.addHook('onSend', (_request, reply, payload, done) => {
    // Without the charset Fastify adds: some clients compare the type as a whole.
    if (String(reply.getHeader('content-type')).startsWith('application/json'))
      void reply.header('content-type', 'application/json')
    done(null, payload)
  })
}

const DECODERS = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate } as const

/**
 * A request's body, decompressed where it was compressed with gzip or deflate (zlib's format). `hold` hears how many
 * bytes there are while they become more, and may refuse them by throwing. MALFORMED_REQUEST where they cannot be
 * decompressed, BODY_TOO_LARGE where they are more than `maxBytes`.
 */
export async function bytesOf(
  { body, headers }: FastifyRequest,
  maxBytes: number,
  hold: (bytes: number) => void = () => undefined,
): Promise<Buffer> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase()
  if (encoding === 'identity' || encoding === '' || bytes.length === 0) return bytes
  if (!Object.hasOwn(DECODERS, encoding))
    throw new ServiceError(
      'MALFORMED_REQUEST',
      `Content-Encoding ${encoding} is not read; send gzip, deflate or none`,
    )
  const decoder = DECODERS[encoding as keyof typeof DECODERS]()
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const part of Readable.from([bytes]).pipe(decoder) as AsyncIterable<Buffer>) {
      parts.push(part)
      length += part.length
      if (length > maxBytes) throw bodyTooLarge()
      hold(bytes.length + length)
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error
    throw new ServiceError('MALFORMED_REQUEST', `the body is not ${encoding}`, { cause: error })
  } finally {
    decoder.destroy()
  }
  return Buffer.concat(parts, length)
}
