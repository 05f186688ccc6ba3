import type { FastifyRequest } from 'fastify'
import type { Permit } from '../../serving/prediction/permit.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `admitted`: the route reserves memory for the body itself. `disk`: the route writes the body to disk. */
    readonly bodies?: 'admitted' | 'disk'
  }
  interface FastifyRequest {
    /** The permit for the bytes of the body; undefined without a body and for admitted bodies. */
    permit: Permit | undefined
    /** Called with the growth in bytes when a part of the body is decoded; QUEUE_FULL if memory runs out. */
    onDecoded: ((bytes: number) => void) | undefined
  }
}

/** The body size in the request head. A chunked body counts as one byte. */
export function announcedBytes({ headers }: FastifyRequest): number {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : 1
}

/** Reserves `more` bytes, or releases them if negative. The total stays between 0 and `max`. */
export function growPermit(permit: Permit, more: number, max: number): void {
  permit.reserve(permit.images, Math.max(0, Math.min(permit.bytes + more, max)))
}

/** Passes on the chunks of a body that is written to disk and releases the memory of each. */
export async function* releaseStored(
  chunks: AsyncIterable<Buffer>,
  permit: Permit | undefined,
): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    yield chunk
    permit?.releaseBytes(chunk.length)
  }
}
