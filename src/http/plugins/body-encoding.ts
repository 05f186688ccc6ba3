import fp from 'fastify-plugin'
import { Readable } from 'node:stream'
import {
  createBrotliDecompress,
  createGunzip,
  createInflate,
  type BrotliDecompress,
  type Gunzip,
  type Inflate,
} from 'node:zlib'
import type { Config } from '../../config.ts'
import { bodyTooLarge, ServiceError } from '../../common/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The largest body of a route that writes it to disk; MAX_BODY_BYTES limits all others. */
    readonly maxStreamedBytes?: number
  }
  interface FastifyRequest {
    /** The decoded body, for a reader that bypasses `preParsing`; undefined for a body without encoding. */
    decodedBody: Readable | undefined
  }
}

type Decoder = Gunzip | Inflate | BrotliDecompress

const CHUNK = { chunkSize: 65_536 }
const DECODERS: ReadonlyMap<string, () => Decoder> = new Map<string, () => Decoder>([
  ['gzip', () => createGunzip(CHUNK)],
  ['x-gzip', () => createGunzip(CHUNK)],
  ['deflate', () => createInflate(CHUNK)],
  ['br', () => createBrotliDecompress(CHUNK)],
])
const SUPPORTED = 'gzip, deflate, br'

/**
 * Decodes request bodies by their Content-Encoding. Routes limit the decoded bytes; the limit here covers bytes that a
 * reader skips, such as those between the parts of a form.
 */
export const bodyEncoding = fp<{ readonly config: Pick<Config, 'MAX_BODY_BYTES'> }>(
  (app, { config: { MAX_BODY_BYTES } }, done) => {
    app.decorateRequest('decodedBody', undefined)
    app.addHook('preParsing', (request, reply, payload, next) => {
      const { headers, routeOptions } = request
      const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
      const isEmpty =
        headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
      if (encoding === '' || encoding === 'identity' || isEmpty) {
        next(null, payload)
        return
      }
      const decoder = DECODERS.get(encoding)?.()
      if (decoder === undefined) {
        void reply.header('accept-encoding', SUPPORTED)
        next(createEncodingError(encoding))
        return
      }
      // The response ends the decoding, even of an unread body.
      reply.raw.once('close', () => decoder.destroy())
      const limit = MAX_BODY_BYTES + (routeOptions.config.maxStreamedBytes ?? MAX_BODY_BYTES)
      request.decodedBody = decode(payload, decoder, { encoding, limit, onDecoded: request.onDecoded })
      next(null, request.decodedBody)
    })
    done()
  },
  { name: 'body-encoding', dependencies: ['body-budget'] },
)

interface Decoding {
  readonly encoding: string
  readonly limit: number
  readonly onDecoded: ((bytes: number) => void) | undefined
}

function decode(payload: Readable, decoder: Decoder, { encoding, limit, onDecoded }: Decoding): Readable {
  let received = 0
  async function* decoded(): AsyncGenerator<Buffer> {
    payload.once('error', (error) => decoder.destroy(error))
    payload.on('data', (chunk: Buffer) => {
      received += chunk.length
      if (received > limit) decoder.destroy(bodyTooLarge())
    })
    let bytes = 0
    let consumed = 0
    try {
      for await (const part of payload.pipe(decoder) as AsyncIterable<Buffer>) {
        bytes += part.length
        if (bytes > limit) throw bodyTooLarge()
        onDecoded?.(part.length - (decoder.bytesWritten - consumed))
        consumed = decoder.bytesWritten
        yield part
      }
      if (!payload.readableEnded || decoder.bytesWritten < received)
        throw new ServiceError('MALFORMED_REQUEST', `the body continues after the end of its ${encoding}`)
    } catch (error) {
      if (error instanceof ServiceError) throw error
      throw new ServiceError('MALFORMED_REQUEST', `the body is not ${encoding}`, { cause: error })
    }
  }
  const body = Readable.from(decoded(), { objectMode: false })
  // After the reader is gone, nothing else handles an error.
  body.on('error', () => undefined)
  // Fastify compares it with Content-Length.
  return Object.defineProperty(body, 'receivedEncodedLength', { get: () => received })
}

function createEncodingError(encoding: string): ServiceError {
  return new ServiceError(
    'UNSUPPORTED_ENCODING',
    `Content-Encoding ${JSON.stringify(encoding.slice(0, 100))} is not supported; send the body with one of ${SUPPORTED}, or without encoding`,
  )
}
