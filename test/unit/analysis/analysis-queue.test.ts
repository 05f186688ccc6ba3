import { describe, expect, it } from 'vitest'
import { AnalysisQueue, type Priority } from '../../../src/analysis/client/analysis-queue.ts'
import { refusalOf } from '../support/errors.ts'

/** A queue whose first job runs until `release`. Further jobs record their names when they run. */
function occupied(maxWaiting: number) {
  const queue = new AnalysisQueue(maxWaiting)
  const order: string[] = []
  let release = (): void => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const first = queue.run(() => released, { priority: 'client', signal: undefined })
  const ask = (name: string, priority: Priority = 'client', signal?: AbortSignal): Promise<number> =>
    queue.run(() => Promise.resolve(order.push(name)), { priority: priority, signal })
  return {
    order,
    ask,
    settle: async (...asked: Promise<unknown>[]) => {
      release()
      await Promise.all([first, ...asked])
    },
  }
}

describe('the queue', () => {
  it('runs in call order, the service first, the background last', async () => {
    const { ask, settle, order } = occupied(9)
    const background = ask('part of a training', 'background')
    const asked = [ask('a'), ask('b', 'admitted'), ask('c'), ask('digest', 'service'), background]
    await settle(...asked)
    expect(order).toEqual(['digest', 'a', 'b', 'c', 'part of a training'])
  })

  it('rejects clients beyond its bound, and no other caller', async () => {
    const { ask, settle, order } = occupied(1)
    const asked = [ask('a')]
    const refusal = await refusalOf(ask('b'))
    expect(refusal).toMatchObject({ code: 'QUEUE_FULL', retryAfterSeconds: expect.any(Number) as number })
    expect(refusal.retryAfterSeconds).toBeGreaterThan(0)
    asked.push(ask('chunk', 'admitted'), ask('digest', 'service'))
    await settle(...asked)
    expect(order).toEqual(['digest', 'a', 'chunk'])
    expect(await ask('later')).toBe(4)
  })

  it('accepts a job after another was aborted', async () => {
    const { ask, settle, order } = occupied(1)
    const controller = new AbortController()
    const left = ask('a', 'client', controller.signal)
    const reason = new Error('left')
    controller.abort(reason)
    await expect(left).rejects.toBe(reason)
    await expect(ask('a', 'client', controller.signal)).rejects.toBe(reason)
    await settle(ask('b'))
    expect(order).toEqual(['b'])
  })

  it('continues after a failed job', async () => {
    const queue = new AnalysisQueue(1)
    const ask = { priority: 'client', signal: undefined } as const
    const failed = queue.run(() => Promise.reject(new Error('no')), ask)
    const next = queue.run(() => Promise.resolve(1), ask)
    await expect(failed).rejects.toThrow('no')
    expect(await next).toBe(1)
  })
})
