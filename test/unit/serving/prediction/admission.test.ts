import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Admission } from '../../../../src/serving/prediction/admission.ts'
import type { Permit } from '../../../../src/serving/prediction/permit.ts'
import { refusal } from '../../support/errors.ts'

const setUp = (maxImages = 8, maxBytes = 100) => new Admission({ maxImages, maxBytes })

const admit = (admission: Admission, model: string, announced: number, client = 'all'): Permit =>
  admission.admit({ client, model }, announced)

/** A request that waits for the engine. */
function queued(admission: Admission, model: string, images: number, bytes = 0, client = 'all'): Permit {
  const place = admit(admission, model, bytes, client)
  place.reserve(images, bytes)
  place.markQueued()
  return place
}

const codeOf = ({ signal }: Permit): unknown => (signal.reason as { code?: string } | undefined)?.code
const bye = new Error('answered')

describe('the budget', () => {
  test('is counted in images and in bytes, and released once', () => {
    const admission = setUp()
    const [one, two] = [queued(admission, 'm', 3, 40), queued(admission, 'm', 5, 60)]
    expect([admission.images, admission.bytes]).toEqual([8, 100])
    expect(refusal(() => admit(admission, 'm', 0)).message).toMatch(
      /^8 images are waiting, the limit is 8 \(MAX_QUEUE\); try again in/,
    )
    one.release(bye)
    one.release(new Error('again'))
    expect(one.signal.reason).toBe(bye)
    expect([admission.images, admission.bytes]).toEqual([5, 60])
    expect(refusal(() => admit(admission, 'm', 41)).message).toMatch(
      /hold 60 bytes, the limit is 100 \(MAX_QUEUE_BYTES\)/,
    )
    expect(admit(admission, 'm', 40).bytes).toBe(0)
    expect(two.signal.aborted).toBe(false)
  })

  test('is checked before it is reserved: a rejected request holds nothing', () => {
    const admission = setUp()
    queued(admission, 'm', 6)
    const place = admit(admission, 'm', 10)
    expect(
      refusal(() => {
        place.reserve(3, 10)
      }).code,
    ).toBe('QUEUE_FULL')
    expect([place.images, admission.images]).toEqual([0, 6])
    place.release(bye)
    expect(() => {
      place.reserve(1, 1)
    }).toThrow('answered')
  })

  test('excludes images that are being computed, until they are queued again', () => {
    const admission = setUp()
    const place = queued(admission, 'm', 8)
    place.markStarted(4)
    expect(admission.images).toBe(4)
    queued(admission, 'm', 4)
    place.markStarted(-4)
    expect(admission.images).toBe(12)
  })

  test('of an idle service accepts a request of any size', () => {
    const admission = setUp()
    const place = admit(admission, 'm', 1000)
    place.reserve(8, 5000)
    expect(admission.bytes).toBe(5000)
    expect(refusal(() => admit(admission, 'm', 1)).code).toBe('QUEUE_FULL')
  })
})

test('Retry-After follows recent compute times', () => {
  const admission = setUp()
  for (let batch = 0; batch < 100; batch++) admission.recordBatch(4, 4 * 500)
  queued(admission, 'm', 8)
  expect(refusal(() => admit(admission, 'm', 0)).retryAfterSeconds).toBe(4)
  for (let batch = 0; batch < 100; batch++) admission.recordBatch(4, 4)
  expect(refusal(() => admit(admission, 'm', 0)).retryAfterSeconds).toBe(1)
})

describe('when full, a model below its share', () => {
  test('evicts the newest queued request of the model that holds most', () => {
    const admission = setUp()
    const flood = [1, 2, 3, 4, 5].map(() => queued(admission, 'flood', 1))
    const others = [1, 2, 3].map(() => queued(admission, 'other', 1))
    const place = queued(admission, 'newcomer', 2)
    expect(flood.map(codeOf)).toEqual([undefined, undefined, undefined, 'QUEUE_FULL', 'QUEUE_FULL'])
    expect([...others, place].map(codeOf)).toEqual([undefined, undefined, undefined, undefined])
    expect(admission.images).toBe(8)
  })

  test('does so for bytes as for images', () => {
    const admission = setUp()
    const flood = [1, 2].map(() => queued(admission, 'flood', 1, 50))
    const newcomer = admit(admission, 'newcomer', 30)
    // No byte of it has arrived yet.
    expect(flood.map(codeOf)).toEqual([undefined, undefined])
    newcomer.receive(30)
    expect([newcomer.bytes, admission.bytes]).toEqual([30, 80])
    expect(flood.map(codeOf)).toEqual([undefined, 'QUEUE_FULL'])
  })

  test('evicts no request that is being computed or decoded', () => {
    const admission = setUp()
    const begun = queued(admission, 'flood', 4)
    begun.markStarted(2)
    const decoding = admit(admission, 'flood', 0)
    decoding.reserve(6, 0)
    expect(refusal(() => admit(admission, 'newcomer', 0)).code).toBe('QUEUE_FULL')
    expect([begun, decoding].map(codeOf)).toEqual([undefined, undefined])
  })

  test('gains no more than its share', () => {
    const admission = setUp()
    const flood = queued(admission, 'flood', 1)
    for (let image = 0; image < 7; image++) queued(admission, 'flood', 1)
    queued(admission, 'newcomer', 4)
    expect(refusal(() => queued(admission, 'newcomer', 1)).code).toBe('QUEUE_FULL')
    expect(codeOf(flood)).toBeUndefined()
  })
})

describe('when full, a client below its share', () => {
  test('evicts the newest queued request of the client that holds most, also of the same model', () => {
    const admission = setUp()
    const heavy = [1, 2, 3, 4, 5, 6].map(() => queued(admission, 'm', 1, 0, 'heavy'))
    const light = [1, 2].map(() => queued(admission, 'm', 1, 0, 'light'))
    const newcomer = queued(admission, 'm', 2, 0, 'newcomer')
    expect(heavy.map(codeOf)).toEqual([
      ...new Array<undefined>(4).fill(undefined),
      'QUEUE_FULL',
      'QUEUE_FULL',
    ])
    expect([...light, newcomer].map(codeOf)).toEqual([undefined, undefined, undefined])
    expect(admission.images).toBe(8)
  })

  test('gains no more than its share; a single client may use all', () => {
    const admission = setUp()
    for (let image = 0; image < 8; image++) queued(admission, 'm', 1, 0, 'alone')
    queued(admission, 'm', 4, 0, 'other')
    expect(refusal(() => queued(admission, 'm', 1, 0, 'other')).code).toBe('QUEUE_FULL')
    expect(refusal(() => queued(admission, 'm', 1, 0, 'alone')).code).toBe('QUEUE_FULL')
  })

  test('is not evicted by a client that holds more, even if its model holds less', () => {
    const admission = setUp()
    const light = ['a', 'b', 'c', 'd', 'e'].map((client) => queued(admission, 'm', 1, 0, client))
    const heavy = queued(admission, 'n', 3, 0, 'heavy')
    queued(admission, 'o', 1, 0, 'heavy')
    expect(codeOf(heavy)).toBe('QUEUE_FULL')
    expect(light.map(codeOf)).toEqual(new Array(5).fill(undefined))
  })
})

describe('arriving bodies', () => {
  const arriving = (admission: Admission, client: string, bytes: number, model = 'm'): Permit => {
    const place = admit(admission, model, 1, client)
    place.arrival = 'steady'
    place.receive(bytes)
    return place
  }

  test('hold their received bytes, not the announced ones', () => {
    const admission = setUp()
    for (let request = 0; request < 100; request++) admit(admission, 'm', 100)
    expect(admission.bytes).toBe(0)
    const place = arriving(admission, 'a', 60)
    place.receive(30)
    place.releaseBytes(50)
    expect([place.bytes, admission.bytes]).toEqual([40, 40])
    expect(refusal(() => admit(admission, 'm', 61, 'a')).code).toBe('QUEUE_FULL')
  })

  test('of the same client yield to earlier ones', () => {
    const admission = setUp()
    const [first, second, third] = [1, 2, 3].map(() => arriving(admission, 'a', 30)) as [
      Permit,
      Permit,
      Permit,
    ]
    first.receive(20)
    expect([first, second, third].map(codeOf)).toEqual([undefined, undefined, 'QUEUE_FULL'])
    second.receive(30)
    // It is the newest body.
    expect([first, second].map(codeOf)).toEqual([undefined, 'QUEUE_FULL'])
    expect([first.bytes, admission.bytes]).toEqual([50, 50])
  })

  test('yield to other clients, slow ones first', () => {
    const admission = setUp()
    const heavy = [1, 2, 3].map(() => arriving(admission, 'heavy', 30)) as [Permit, Permit, Permit]
    heavy[1].arrival = 'slow'
    arriving(admission, 'other', 30)
    expect(heavy.map(codeOf)).toEqual([undefined, 'QUEUE_FULL', undefined])
    arriving(admission, 'third', 30)
    expect(heavy.map(codeOf)).toEqual([undefined, 'QUEUE_FULL', 'QUEUE_FULL'])
  })

  test('of the same client yield if they are slow, also to later ones', () => {
    const admission = setUp()
    const [slow, steady] = [arriving(admission, 'a', 50), arriving(admission, 'a', 50)]
    slow.arrival = 'slow'
    steady.receive(10)
    expect([slow, steady].map(codeOf)).toEqual(['QUEUE_FULL', undefined])
  })

  test('yield to any request if they are stalled', () => {
    const admission = setUp()
    const heavy = arriving(admission, 'heavy', 50)
    const stalled = [1, 2, 3, 4, 5].map((client) => arriving(admission, String(client), 10))
    for (const place of stalled) place.arrival = 'stalled'
    heavy.receive(20)
    expect(stalled.map(codeOf)).toEqual(['QUEUE_FULL', 'QUEUE_FULL', undefined, undefined, undefined])
    expect(codeOf(heavy)).toBeUndefined()
  })

  test('are not evicted between their end and the queue', () => {
    const admission = setUp()
    const whole = arriving(admission, 'a', 100)
    whole.arrival = undefined
    expect(refusal(() => arriving(admission, 'b', 1)).code).toBe('QUEUE_FULL')
    whole.markQueued()
    expect(codeOf(arriving(admission, 'b', 1))).toBeUndefined()
    expect(codeOf(whole)).toBe('QUEUE_FULL')
  })
})

test('for random arrivals, the limit holds and a client below its share is admitted', () => {
  const act = fc.record({
    client: fc.constantFrom('a', 'b', 'c'),
    place: fc.nat(40),
    bytes: fc.integer({ min: 1, max: 40 }),
    kind: fc.constantFrom('admit', 'receive', 'receive', 'receive', 'finish', 'slow', 'leave'),
  })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const admission = setUp()
      let places: Permit[] = []
      for (const { client, place, bytes, kind } of acts) {
        const one = places[place % Math.max(1, places.length)]
        if (kind === 'admit' || one === undefined) {
          try {
            const admitted = admit(admission, 'm', bytes, client)
            admitted.arrival = 'steady'
            places.push(admitted)
          } catch (error) {
            expect(error).toMatchObject({ code: 'QUEUE_FULL' })
          }
        } else if (kind === 'receive') {
          const others = places.filter((other) => other !== one && other.bytes > 0)
          const clients = new Set([...others, one].map((holder) => holder.client))
          const own = places.reduce(
            (sum, other) => sum + (other.client === one.client ? other.bytes : 0),
            bytes,
          )
          // A complete body keeps its bytes until the response.
          const isEntitled = own <= 100 / clients.size && others.every(({ evictable }) => evictable)
          one.receive(bytes)
          if (isEntitled) expect(codeOf(one)).toBeUndefined()
        } else if (kind === 'finish') one.arrival = undefined
        else if (kind === 'slow' && one.arrival !== undefined) one.arrival = 'slow'
        else if (kind === 'leave') one.release(bye)
        places = places.filter(({ signal }) => !signal.aborted)
        const held = places.reduce((sum, holder) => sum + holder.bytes, 0)
        expect(admission.bytes).toBe(held)
        // A single request may hold any amount.
        if (places.filter((holder) => holder.bytes > 0).length > 1) expect(held).toBeLessThanOrEqual(100)
      }
    }),
    { seed: 4, numRuns: 500 },
  )
})

test('for random operations, the limit holds', () => {
  const act = fc.record({
    model: fc.constantFrom('a', 'b', 'c'),
    images: fc.integer({ min: 1, max: 8 }),
    bytes: fc.nat(100),
    leaves: fc.nat(3),
  })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const admission = setUp()
      const places: Permit[] = []
      for (const { model, images, bytes, leaves } of acts) {
        try {
          places.push(queued(admission, model, images, bytes))
        } catch {
          // Rejected: the permit holds at most the announced bytes, and is released with the response.
        }
        for (let left = 0; left < leaves; left++) places.shift()?.release(bye)
        const held = places.filter(({ signal }) => !signal.aborted)
        expect(held.reduce((sum, place) => sum + place.images, 0)).toBe(admission.images)
        expect(admission.images).toBeLessThanOrEqual(8)
        expect(admission.bytes).toBeLessThanOrEqual(100)
      }
    }),
    { seed: 3 },
  )
})
