import { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Incoming } from '../../../src/http/shared/incoming-requests.ts'

it('a watcher that was replaced cannot remove its successor', () => {
  const message = new Incoming(new Socket())
  const completed: string[] = []
  const unwatchFirst = message.watch({ onComplete: () => completed.push('first') })
  const unwatchSecond = message.watch({ onComplete: () => completed.push('second') })
  unwatchFirst()
  message.push(null)
  expect(completed).toEqual(['second'])
  unwatchSecond()
})

it('a removed watcher is not called', () => {
  const message = new Incoming(new Socket())
  const received: number[] = []
  const unwatch = message.watch({ onBytes: (bytes) => received.push(bytes), onComplete: () => undefined })
  message.push(Buffer.alloc(3))
  unwatch()
  message.push(Buffer.alloc(5))
  expect(received).toEqual([3])
})
