import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { OPTIONAL_OUTPUTS, type Batch } from '../../../src/engine/contract.ts'
import { ServiceError } from '../../../src/common/errors.ts'
import type { Client } from '../../support/client.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

const SIZE = 8 * 8 * 3
const CLASSES = 5
const widths = { logits: CLASSES, probabilities: CLASSES, features: 4 }

let running: RunningService
let client: Client
let id: string
let pid: number | undefined
beforeAll(async () => {
  running = await startService()
  client = running.client
  id = (await client.create({ ...tiny, name: 'tiny' })).id
  pid = running.service.engine.pid
})
afterAll(() => running.close())

const expectUnharmed = () => {
  const { engine } = running.service
  expect([engine.pid, engine.restarts, engine.ready]).toEqual([pid, 0, true])
}

const length = fc.oneof(
  fc.constantFrom(SIZE, 2 * SIZE, 3 * SIZE, 0, 1, SIZE - 1, SIZE + 1, SIZE / 3),
  fc.nat(4 * SIZE),
)
const sound = fc.record({
  id: fc.constant('tiny'),
  count: fc.constantFrom(1, 2, 3),
  k: fc.constantFrom(1, 3, CLASSES),
  vectors: fc.subarray([...OPTIONAL_OUTPUTS]),
})
const wild = fc.record({
  id: fc.constantFrom('tiny', 'tiny', 'tiny', 'unknown'),
  count: fc.constantFrom(1, 1, 2, 3, 0, -1, 1.5, NaN, Infinity, 2 ** 31),
  values: fc.oneof(
    length.map((size) => new Uint8Array(size).fill(7)),
    length.map((size) => new Float32Array(size).fill(NaN)),
    length.map((size) => new Int32Array(size)),
    length.map((size) => new Float64Array(size)),
    fc.array(fc.oneof(fc.uint8Array(), fc.constant('image')), { maxLength: 3 }),
  ),
  k: fc.constantFrom(1, CLASSES, 3, 3, 0, -1, CLASSES + 1, 1.5, NaN),
  vectors: fc.subarray([...OPTIONAL_OUTPUTS]),
})

const batch = fc.oneof(
  sound.map((fields) => ({ ...fields, values: new Uint8Array(fields.count * SIZE).fill(7) })),
  { weight: 4, arbitrary: wild },
)

it('no batch crashes the engine: it is computed, or rejected before it is sent', async () => {
  let computed = 0
  await fc.assert(
    fc.asyncProperty(batch, async (given) => {
      const { count, values, k } = given
      const pixels = values instanceof Uint8Array || values instanceof Float32Array
      const encoded =
        Array.isArray(values) && values.every((one) => one instanceof Uint8Array && one.length > 0)
      const holds = (pixels && values.length === count * SIZE) || (encoded && values.length === count)
      const fits = given.id === 'tiny' && [1, 2, 3].includes(count) && holds
      const feed = { ...given, id: given.id === 'tiny' ? id : given.id } as Batch
      const result = await running.service.engine.predict(feed).catch((error: unknown) => error)
      if (fits && [1, 3, CLASSES].includes(k)) {
        expect(result).toMatchObject({
          vectors: Object.fromEntries(
            given.vectors.map((vector) => [vector, { length: count * widths[vector] }]),
          ),
          topClasses: { length: count * k },
        })
        computed += 1
      } else {
        expect(result).toBeInstanceOf(ServiceError)
        expect((result as ServiceError).code).toBe(
          given.id === 'tiny' ? 'INVALID_REQUEST' : 'MODEL_NOT_READY',
        )
      }
      expectUnharmed()
    }),
    { numRuns: 400, seed: 5 },
  )
  expect(computed).toBeGreaterThan(10)
})

const upload = fc.record({
  shape: fc.oneof(
    fc.constantFrom<number[]>([1, 8, 8, 3], [2, 8, 8, 3], [8, 8, 3]),
    fc.array(fc.nat(9), { maxLength: 5 }),
  ),
  floats: fc.boolean(),
  /** The difference between the number of bytes and the size of the shape. */
  extra: fc.constantFrom(0, 0, 0, 1, -1, 64),
  /** The position of a byte of the header, and its new value. */
  damage: fc.option(fc.tuple(fc.nat(127), fc.nat(255)), { freq: 2 }),
  k: fc.constantFrom('1', '5', '1000'),
})

it('no npy upload crashes the engine: it is computed or rejected', async () => {
  const seen = new Set<number>()
  await fc.assert(
    fc.asyncProperty(upload, async ({ shape, floats, extra, damage, k }) => {
      const size = shape.reduce((product, length) => product * length, 1)
      const pixels = arithmeticImage([size])
      const file = npy(shape, floats ? Float32Array.from(pixels) : pixels)
      const body = extra < 0 ? file.subarray(0, extra) : Buffer.concat([file, Buffer.alloc(extra)])
      if (damage) body[damage[0]] = damage[1]
      const answer = await client.upload(`/v1/models/tiny/predict?top_k=${k}`, body, 'application/x-npy')
      seen.add(answer.status)
      if (!damage) {
        const fits = [shape.join(), shape.slice(1).join()].includes('8,8,3') && shape[0] !== 0
        const images = shape.length === 3 || shape.length === 4
        expect(answer.status).toBe(fits && images && extra === 0 ? 200 : 422)
      }
      expect([200, 400, 422]).toContain(answer.status)
      expectUnharmed()
    }),
    { numRuns: 200, seed: 6 },
  )
  expect(seen).toContain(200)
  expect(seen).toContain(422)
})

it('a batch above the size of the shared buffer has the same results as its parts', async () => {
  const count = Math.ceil((8 * 2 ** 20 + 1) / (SIZE * Float32Array.BYTES_PER_ELEMENT))
  const values = Float32Array.from({ length: count * SIZE }, (_, index) => ((index * 31) % 255) / 255)
  const { engine } = running.service
  const batch = { id, k: 1, vectors: ['logits'] } as const
  const whole = await engine.predict({ ...batch, count, values })
  const part = await engine.predict({ ...batch, count: 3, values: values.subarray(0, 3 * SIZE) })
  const logits = (whole.vectors.logits ?? []).slice(0, 3 * CLASSES)
  logits.forEach((logit, index) => {
    expect(logit).toBeCloseTo(part.vectors.logits?.[index] ?? NaN, 4)
  })
  expect(logits).toHaveLength(3 * CLASSES)
  expectUnharmed()
})
