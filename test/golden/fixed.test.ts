import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { valuesOf } from '../support/images.ts'
import { startService, type RunningService } from '../support/service.ts'

interface Vector {
  readonly name: string
  readonly config: { readonly value?: unknown }
  readonly shape: readonly number[]
  /** Float32 values in base64; null if the framework has no tensor of this shape. */
  readonly values: string | null
}

const vectors = JSON.parse(readFileSync(new URL('vectors/fixed.json', import.meta.url), 'utf8')) as Vector[]

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

describe.each([...new Set(vectors.map(({ name }) => name))])('%s', (name) => {
  const own = vectors.filter((vector) => vector.name === name)

  it('has the same bits as its framework, and rejects shapes that the framework rejects', async () => {
    for (const { config, shape, values } of own) {
      const body = { config, shape }
      const accept = { accept: 'application/x-npy' }
      const answer = await running.client.post(`/v1/initializers/${name}/sample`, body, accept)
      const found =
        answer.status === 200 ? Buffer.from(valuesOf(answer.bytes).buffer).toString('base64') : null
      expect([body, found]).toEqual([body, values])
      if (values === null) expect([body, answer.status]).toEqual([body, 422])
    }
  })

  it('has exact records that report the config of the request', async () => {
    for (const { config, shape, values } of own) {
      if (values === null) continue
      const { json } = await running.client.post(`/v1/initializers/${name}/statistics`, { config, shape })
      expect(json).toMatchObject({ exact: true, initializer: { config }, sample: { non_finite: 0 } })
    }
  })

  it('keeps the sign of zero in JSON', async () => {
    for (const { config, shape, values } of own) {
      if (values === null) continue
      const { json } = await running.client.post(`/v1/initializers/${name}/sample`, { config, shape })
      const floats = Float32Array.from((json as { values: number[] }).values)
      expect(Buffer.from(floats.buffer).toString('base64')).toBe(values)
    }
  })
})
