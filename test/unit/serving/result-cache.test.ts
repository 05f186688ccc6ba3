import { expect, test } from 'vitest'
import { ResultCache } from '../../../src/serving/result-cache.ts'

/** Results that contain the number of their computation. */
function counted(limits = { entries: 2, characters: 1000 }) {
  const answers = new ResultCache(limits)
  const computed: string[] = []
  const get = (
    key: string,
    answer: () => Promise<unknown> = () => Promise.resolve(key),
    signal = new AbortController().signal,
  ) =>
    answers.get(
      key,
      signal,
      () => {
        computed.push(key)
        return answer()
      },
      (value) => JSON.stringify(value),
    )
  return { get, computed }
}

test('a result is computed once, also for concurrent requests', async () => {
  const { get, computed } = counted()
  expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual(['"a"', '"a"', '"b"'])
  expect(await get('a')).toBe('"a"')
  expect(computed).toEqual(['a', 'b'])
})

test('the least recently used result is evicted first', async () => {
  const { get, computed } = counted()
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key)
  expect(computed).toEqual(['a', 'b', 'c', 'b'])
})

test('the size in characters is bounded, however few the results', async () => {
  const { get, computed } = counted({ entries: 9, characters: 10 })
  const long = () => Promise.resolve('x'.repeat(20))
  await get('a')
  await get('long', long)
  await get('long', long)
  await get('a')
  expect(computed).toEqual(['a', 'long', 'long', 'a'])
})

test('a failure rejects all waiting requests and is not cached', async () => {
  const { get, computed } = counted()
  const fails = () => Promise.reject(new Error('no'))
  const outcomes = await Promise.allSettled([get('a', fails), get('a', fails)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await get('a')).toBe('"a"')
  expect(computed).toEqual(['a', 'a'])
})

test('an abort rejects at once, and the last abort cancels the computation', async () => {
  const answers = new ResultCache({ entries: 2, characters: 1000 })
  const [first, second] = [new AbortController(), new AbortController()]
  let ended: AbortSignal | undefined
  const compute = (signal: AbortSignal) => {
    ended = signal
    return new Promise<string>((_, reject) => {
      signal.addEventListener('abort', () => {
        reject(signal.reason as Error)
      })
    })
  }
  const asked = [first, second].map(({ signal }) => answers.get('a', signal, compute, String))
  const outcomes = Promise.allSettled(asked)
  first.abort(new Error('first left'))
  await expect(asked[0]).rejects.toThrow('first left')
  expect(ended?.aborted).toBe(false)
  second.abort(new Error('second left'))
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(ended?.aborted).toBe(true)
  const { signal } = new AbortController()
  expect(await answers.get('a', signal, () => Promise.resolve('anew'), String)).toBe('anew')
})

test('nothing is computed for a request that is already aborted', async () => {
  const { get, computed } = counted()
  const reason = new Error('left')
  await expect(get('a', undefined, AbortSignal.abort(reason))).rejects.toBe(reason)
  expect(computed).toEqual([])
})
