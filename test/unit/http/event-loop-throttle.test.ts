import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { EventLoopThrottle } from '../../../src/http/plugins/event-loop-throttle.ts'

test('starts a thousand requests in order, a few per turn, and the first at once', async () => {
  const pace = new EventLoopThrottle()
  const begun: number[] = []
  for (let index = 0; index < 1000; index += 1) pace.run(() => begun.push(index))
  const counts = [begun.length]
  while (begun.length < 1000) {
    const before = begun.length
    // A later task is queued behind the earlier ones.
    if (before === 4) pace.run(() => begun.push(1000))
    await nextTurn()
    counts.push(begun.length - before)
  }
  await nextTurn()
  await nextTurn()
  expect(begun).toEqual(Array.from({ length: 1001 }, (_, index) => index))
  expect(counts[0]).toBeGreaterThan(0)
  expect(Math.max(...counts)).toBeLessThanOrEqual(4)
})

test('a started task may add tasks', async () => {
  const pace = new EventLoopThrottle()
  let begun = 0
  const again = (): void => {
    begun += 1
    if (begun < 100) pace.run(again)
  }
  pace.run(again)
  expect(begun).toBeLessThanOrEqual(4)
  while (begun < 100) await nextTurn()
})
