import type { FastifyInstance, FastifyRequest } from 'fastify'
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
    /** The most that a route reads of a body that it writes to disk; MAX_BODY_BYTES bounds all others. */
    readonly maxStreamedBytes?: number
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
const OFFERED = 'gzip, deflate, br'

/** Reserves so many more bytes, or (negative) releases them; throws where there is no room. */
type Reserve = (bytes: number) => void

const reservations = new WeakMap<FastifyRequest, Reserve>()
const decodedBodies = new WeakMap<FastifyRequest, Readable>()

/** Calls `reserve` with what a request's body grows by each time a part of it is decoded. */
export function reserveDecoded(request: FastifyRequest, reserve: Reserve): void {
  reservations.set(request, reserve)
}

/** The decoded body of a request, for a reader that does not take what `preParsing` gave; undefined where it came as it is. */
export function decodedBody(request: FastifyRequest): Readable | undefined {
  return decodedBodies.get(request)
}

/**
 * Decodes the bodies of all routes by their Content-Encoding. The limits of a route apply to the decoded bytes; a body that
 * a reader skips, such as the space between the parts of a form, is bounded here.
 */
export function decodeBodies(app: FastifyInstance, { MAX_BODY_BYTES }: Pick<Config, 'MAX_BODY_BYTES'>): void {
  app.addHook('preParsing', (request, reply, payload, done) => {
    const { headers, routeOptions } = request
    const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
    const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
    if (encoding === '' || encoding === 'identity' || isEmpty) {
      done(null, payload)
      return
    }
    const decoder = DECODERS.get(encoding)?.()
    if (decoder === undefined) {
      void reply.header('accept-encoding', OFFERED)
      done(notOffered(encoding))
      return
    }
    // An answer ends the decoding, whether the body was read or not.
    reply.raw.once('close', () => decoder.destroy())
    const limit = MAX_BODY_BYTES + (routeOptions.config.maxStreamedBytes ?? MAX_BODY_BYTES)
    const body = decode(payload, decoder, { encoding, limit, reserve: reservations.get(request) })
    decodedBodies.set(request, body)
    done(null, body)
  })
}

interface Decoding {
  readonly encoding: string
  readonly limit: number
  readonly reserve: Reserve | undefined
}

function decode(payload: Readable, decoder: Decoder, { encoding, limit, reserve }: Decoding): Readable {
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
        reserve?.(part.length - (decoder.bytesWritten - consumed))
        consumed = decoder.bytesWritten
        yield part
      }
      if (!payload.readableEnded || decoder.bytesWritten < received)
        throw new ServiceError('MALFORMED_REQUEST', `the body goes on behind the end of its ${encoding}`)
    } catch (error) {
      if (error instanceof ServiceError) throw error
      throw new ServiceError('MALFORMED_REQUEST', `the body is not ${encoding}`, { cause: error })
    }
  }
  const body = Readable.from(decoded(), { objectMode: false })
  // Its reader may be gone.
  body.on('error', () => undefined)
  // Fastify compares it with Content-Length.
  return Object.defineProperty(body, 'receivedEncodedLength', { get: () => received })
}

function notOffered(encoding: string): ServiceError {
  return new ServiceError(
    'UNSUPPORTED_ENCODING',
    `Content-Encoding ${JSON.stringify(encoding.slice(0, 100))} is not read; send the body with one of ${OFFERED}, or as it is`,
  )
}
