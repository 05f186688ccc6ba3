import { existsSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { valuesOf } from '../support/images.ts'
import { startService, type RunningService } from '../support/service.ts'

interface Vector {
  readonly class_name: string
  readonly config: Readonly<Record<string, unknown>>
  readonly shape: readonly number[]
  readonly seed: number | readonly [number, number]
  readonly sha256: string
  /** Digests by the size of the L1 data cache, for draws in which Keras depends on it. */
  readonly by_l1d?: Readonly<Record<string, string>>
  /** Bits of the first four values. */
  readonly first: readonly string[]
}

const vectors = JSON.parse(
  readFileSync(new URL('vectors/initializers.json', import.meta.url), 'utf8'),
) as Vector[]

const L1D_FILE = '/sys/devices/system/cpu/cpu0/cache/index0/size'
const l1d = existsSync(L1D_FILE) ? readFileSync(L1D_FILE, 'utf8').trim() : ''

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

describe('tensors drawn over REST', () => {
  const names = [...new Set(vectors.map(({ class_name }) => class_name))]
  it.each(names)('equal the bytes that Keras draws: %s', async (name) => {
    const records = vectors.filter(({ class_name }) => class_name === name)
    const answers = await Promise.all(records.map((record) => drawn(name, record)))
    expect(answers).toEqual(records.map(({ sha256, by_l1d }) => by_l1d?.[l1d] ?? sha256))
  })

  it('as npy equal Keras to the bit', async () => {
    const records = vectors.filter(({ shape }) => shape.length > 1).filter((_, index) => index % 40 === 0)
    for (const { class_name, first, ...body } of records) {
      const path = `/v1/initializers/${class_name}/sample`
      const { shape, config, seed } = body
      const answer = await running.client.post(path, { shape, config, seed }, { accept: 'application/x-npy' })
      const words = new Uint32Array(valuesOf(answer.bytes).buffer).subarray(0, 4)
      expect([...words].map((word) => word.toString(16).padStart(8, '0'))).toEqual(first)
    }
  })
})

async function drawn(name: string, { config, shape, seed }: Vector): Promise<string> {
  const answer = await running.client.post(`/v1/initializers/${name}/statistics`, { config, shape, seed })
  return (answer.json as { sample: { sha256: string } }).sample.sha256
}
