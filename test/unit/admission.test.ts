import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Admission } from '../../src/serving/admission.ts'
import type { Place } from '../../src/serving/place.ts'
import { refusal } from './support/errors.ts'

const setUp = (maxImages = 8, maxBytes = 100) => new Admission({ maxImages, maxBytes })

const admit = (admission: Admission, model: string, announced: number, client = 'all'): Place =>
  admission.admit({ client, model }, announced)

/** A request that waits for the engine. */
function queued(admission: Admission, model: string, images: number, bytes = 0, client = 'all'): Place {
  const place = admit(admission, model, bytes, client)
  place.hold(images, bytes)
  place.queue()
  return place
}

const codeOf = ({ signal }: Place): unknown => (signal.reason as { code?: string } | undefined)?.code
const bye = new Error('answered')

describe('the room', () => {
  test('is counted in images and in bytes, and given back once', () => {
    const admission = setUp()
    const [one, two] = [queued(admission, 'm', 3, 40), queued(admission, 'm', 5, 60)]
    expect([admission.images, admission.bytes]).toEqual([8, 100])
    expect(refusal(() => admit(admission, 'm', 0)).message).toMatch(
      /^8 images wait already, 8 may; try again in/,
    )
    one.leave(bye)
    one.leave(new Error('again'))
    expect(one.signal.reason).toBe(bye)
    expect([admission.images, admission.bytes]).toEqual([5, 60])
    expect(refusal(() => admit(admission, 'm', 41)).message).toMatch(/hold 60 bytes already, 100 are allowed/)
    expect(admit(admission, 'm', 40).bytes).toBe(0)
    expect(two.signal.aborted).toBe(false)
  })

  test('is refused before it is taken: whoever is refused holds nothing', () => {
    const admission = setUp()
    queued(admission, 'm', 6)
    const place = admit(admission, 'm', 10)
    expect(
      refusal(() => {
        place.hold(3, 10)
      }).code,
    ).toBe('QUEUE_FULL')
    expect([place.images, admission.images]).toEqual([0, 6])
    place.leave(bye)
    expect(() => {
      place.hold(1, 1)
    }).toThrow('answered')
  })

  test('does not hold what is being computed, until it has to wait again', () => {
    const admission = setUp()
    const place = queued(admission, 'm', 8)
    place.begin(4)
    expect(admission.images).toBe(4)
    queued(admission, 'm', 4)
    place.begin(-4)
    expect(admission.images).toBe(12)
  })

  test('of an idle service has a place for anything', () => {
    const admission = setUp()
    const place = admit(admission, 'm', 1000)
    place.hold(8, 5000)
    expect(admission.bytes).toBe(5000)
    expect(refusal(() => admit(admission, 'm', 1)).code).toBe('QUEUE_FULL')
  })
})

test('Retry-After follows what was computed of late', () => {
  const admission = setUp()
  for (let batch = 0; batch < 100; batch++) admission.computed(4, 4 * 500)
  queued(admission, 'm', 8)
  expect(refusal(() => admit(admission, 'm', 0)).retryAfterSeconds).toBe(4)
  for (let batch = 0; batch < 100; batch++) admission.computed(4, 4)
  expect(refusal(() => admit(admission, 'm', 0)).retryAfterSeconds).toBe(1)
})

describe('where it is full, a model below its share', () => {
  test('takes the place of the newest that waits for the model that holds most', () => {
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
    // Nothing of it has come yet.
    expect(flood.map(codeOf)).toEqual([undefined, undefined])
    newcomer.receive(30)
    expect([newcomer.bytes, admission.bytes]).toEqual([30, 80])
    expect(flood.map(codeOf)).toEqual([undefined, 'QUEUE_FULL'])
  })

  test('pushes out nobody who is being computed, or is still decoded', () => {
    const admission = setUp()
    const begun = queued(admission, 'flood', 4)
    begun.begin(2)
    const decoding = admit(admission, 'flood', 0)
    decoding.hold(6, 0)
    expect(refusal(() => admit(admission, 'newcomer', 0)).code).toBe('QUEUE_FULL')
    expect([begun, decoding].map(codeOf)).toEqual([undefined, undefined])
  })

  test('has no more than its share that way', () => {
    const admission = setUp()
    const flood = queued(admission, 'flood', 1)
    for (let image = 0; image < 7; image++) queued(admission, 'flood', 1)
    queued(admission, 'newcomer', 4)
    expect(refusal(() => queued(admission, 'newcomer', 1)).code).toBe('QUEUE_FULL')
    expect(codeOf(flood)).toBeUndefined()
  })
})

test('whatever comes and goes, no more is held than may be', () => {
  const act = fc.record({
    model: fc.constantFrom('a', 'b', 'c'),
    images: fc.integer({ min: 1, max: 8 }),
    bytes: fc.nat(100),
    leaves: fc.nat(3),
  })
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const admission = setUp()
      const places: Place[] = []
      for (const { model, images, bytes, leaves } of acts) {
        try {
          places.push(queued(admission, model, images, bytes))
        } catch {
          // Refused: its place holds at most what its head said; the service leaves it with the answer.
        }
        for (let left = 0; left < leaves; left++) places.shift()?.leave(bye)
        const held = places.filter(({ signal }) => !signal.aborted)
        expect(held.reduce((sum, place) => sum + place.images, 0)).toBe(admission.images)
        expect(admission.images).toBeLessThanOrEqual(8)
        expect(admission.bytes).toBeLessThanOrEqual(100)
      }
    }),
    { seed: 3 },
  )
})
