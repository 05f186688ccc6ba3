import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { binaryRequest, inferenceOf } from '../../support/tensors.ts'

const SHAPE = [8, 8, 3] as const
const SIZE = 192
const INFER = '/v2/models/net/infer'
const seeds = [0, 1, 2]

let running: RunningService
let wanted: (number[] | undefined)[]
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'net' })
  wanted = await Promise.all(
    seeds.map(async (seed) => (await running.client.logits('net', SHAPE, arithmeticImage(SHAPE, seed)))[0]),
  )
})
afterAll(() => running.close())

const input = (size: unknown, shape: unknown = [1, ...SHAPE]) => ({
  ...{ name: 'images', datatype: 'UINT8', shape, parameters: { binary_data_size: size } },
})
const upload = (body: Buffer, length: string): Promise<Answer> =>
  running.client.upload(INFER, body, undefined, { 'inference-header-content-length': length })

const number = fc.oneof(
  fc.nat(1000),
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, SIZE, SIZE - 1, SIZE + 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e300),
)
const anything = fc.oneof(
  number,
  fc.string(),
  fc.boolean(),
  fc.constant(null),
  fc.array(number, { maxLength: 6 }),
)

/** Requests with one fault each. None may be computed, or read the bytes of another. */
const broken = fc.oneof(
  // A valid request with a wrong header length.
  fc.nat(600).map((length) => {
    const { body, headers } = binaryRequest({ inputs: [input(SIZE)] }, Buffer.alloc(SIZE, 7))
    const truth = headers['inference-header-content-length']
    return { body, length: String(length === 0 || String(length) === truth ? Number(truth) + 1 : length) }
  }),
  // A valid request that is cut off or followed by more bytes.
  fc.integer({ min: -SIZE, max: 64 }).map((more) => {
    const { body, headers } = binaryRequest(
      { inputs: [input(SIZE)] },
      Buffer.alloc(SIZE + (more === 0 ? 1 : more), 7),
    )
    return { body, length: headers['inference-header-content-length'] }
  }),
  // Sizes and shapes that do not match.
  fc.tuple(anything, fc.array(anything, { maxLength: 6 }), fc.nat(400)).map(([size, shape, tail]) => {
    const { body, headers } = binaryRequest({ inputs: [input(size, shape)] }, Buffer.alloc(tail, 7))
    return { body, length: headers['inference-header-content-length'] }
  }),
  // BYTES with random lengths.
  fc.tuple(fc.uint8Array({ maxLength: 64 }), fc.nat(4)).map(([bytes, count]) => {
    const parameters = { binary_data_size: bytes.length }
    const encoded = { name: 'image_bytes', datatype: 'BYTES', shape: [count], parameters }
    const { body, headers } = binaryRequest({ inputs: [encoded] }, bytes)
    return { body, length: headers['inference-header-content-length'] }
  }),
  // JSON of any kind, and invalid JSON.
  fc.tuple(fc.json(), fc.uint8Array({ maxLength: 40 })).map(([json, tail]) => {
    const head = Buffer.from(json)
    return { body: Buffer.concat([head, tail]), length: String(head.length) }
  }),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.string({ unit: 'binary-ascii', maxLength: 8 }))
    .map(([bytes, length]) => ({
      body: Buffer.from(bytes),
      length: length.replaceAll(/[^\w.+-]/g, '1') || '5',
    })),
)

it('invalid requests are rejected and do not affect other responses', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(broken, { minLength: 1, maxLength: 4 }), async (requests) => {
      const good = seeds.map((seed) => {
        const { body, headers } = binaryRequest(
          { inputs: [input(SIZE)], parameters: { binary_data_output: true } },
          arithmeticImage(SHAPE, seed),
        )
        return upload(body, headers['inference-header-content-length'])
      })
      const refused = await Promise.all(requests.map(({ body, length }) => upload(body, length)))
      for (const answer of refused) expectForeignError(answer, { status: 400 })
      for (const [index, answer] of (await Promise.all(good)).entries()) {
        const logits = inferenceOf(answer).floats['logits'] ?? []
        for (const [at, value] of (wanted[index] ?? []).entries()) expect(logits[at]).toBeCloseTo(value, 4)
      }
    }),
    { numRuns: 150 },
  )
})
