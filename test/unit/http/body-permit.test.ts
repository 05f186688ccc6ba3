import { expect, it } from 'vitest'
import { growPermit, releaseStored } from '../../../src/http/shared/body-permit.ts'
import { Admission } from '../../../src/serving/prediction/admission.ts'

const admit = (bytes: number) => {
  const admission = new Admission({ maxImages: Infinity, maxBytes: 100 })
  const permit = admission.admit({ client: 'a', model: '' }, bytes)
  permit.reserve(0, bytes)
  return permit
}

it('a permit grows within its limits', () => {
  const permit = admit(10)
  growPermit(permit, 20, 25)
  expect(permit.bytes).toBe(25)
  growPermit(permit, -30, 25)
  expect(permit.bytes).toBe(0)
})

it('a chunk is released when its reader requests the next', async () => {
  const permit = admit(10)
  async function* source(): AsyncGenerator<Buffer> {
    yield await Promise.resolve(Buffer.alloc(4))
    yield Buffer.alloc(6)
  }
  const held: number[] = []
  for await (const chunk of releaseStored(source(), permit)) held.push(permit.bytes, chunk.length)
  expect([...held, permit.bytes]).toEqual([10, 4, 6, 6, 0])
})
