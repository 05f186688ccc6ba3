import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { releaseStored } from './body-permit.ts'
import { weightsTooLarge } from './forms.ts'

/** Bytes that a request may still write to disk. */
export interface DiskBudget {
  remaining: number
}

/** Limits a stream that is written to disk. The rest of a larger one stays unread, so that the error can be answered. */
export function streamToDisk(source: Readable, budget: DiskBudget, { permit }: FastifyRequest): Readable {
  const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  return Readable.from(releaseStored(limitBytes(chunks, budget), permit), { objectMode: false })
}

async function* limitBytes(chunks: AsyncIterable<Buffer>, budget: DiskBudget): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    budget.remaining -= chunk.length
    if (budget.remaining < 0) throw weightsTooLarge()
    yield chunk
  }
}
