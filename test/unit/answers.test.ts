import { expect, test } from 'vitest'
import { Answers } from '../../src/serving/answers.ts'

/** Answers that say how often they were computed. */
function counted(limits = { entries: 2, characters: 1000 }) {
  const answers = new Answers(limits)
  const computed: string[] = []
  const get = (key: string, answer: () => Promise<unknown> = () => Promise.resolve(key)) =>
    answers.get(
      key,
      () => {
        computed.push(key)
        return answer()
      },
      (value) => JSON.stringify(value),
    )
  return { get, computed }
}

test('an answer is computed once, also for those who ask meanwhile', async () => {
  const { get, computed } = counted()
  expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual(['"a"', '"a"', '"b"'])
  expect(await get('a')).toBe('"a"')
  expect(computed).toEqual(['a', 'b'])
})

test('the one that was not asked for the longest goes first', async () => {
  const { get, computed } = counted()
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) await get(key)
  expect(computed).toEqual(['a', 'b', 'c', 'b'])
})

test('no more characters are kept than allowed, however few the answers', async () => {
  const { get, computed } = counted({ entries: 9, characters: 10 })
  const long = () => Promise.resolve('x'.repeat(20))
  await get('a')
  await get('long', long)
  await get('long', long)
  await get('a')
  expect(computed).toEqual(['a', 'long', 'long', 'a'])
})

test('a failure is told to all who wait and kept for nobody', async () => {
  const { get, computed } = counted()
  const fails = () => Promise.reject(new Error('no'))
  const outcomes = await Promise.allSettled([get('a', fails), get('a', fails)])
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(await get('a')).toBe('"a"')
  expect(computed).toEqual(['a', 'a'])
})
