import { expect, test } from 'vitest'
import { PythonRandom } from '../../../src/initializers/mersenne-twister.ts'

/** `random.seed(seed)`, then `random.randint(1, 10**9)`: the first three, and the 700th, which needs a second state. */
test.each([
  [0, [906691060, 413654000, 813847340], 322603901],
  [1, [144272510, 611178003, 909925048], 742710889],
  [7, [347712783, 161973070, 423938500], 591684494],
  [42, [686579304, 119540832, 26855093], 988670178],
  [-5, [668835602, 274281999, 796487719], 282659018],
  [2 ** 31 - 1, [341190065, 877628263, 129238948], 385217224],
  [2 ** 31, [363779273, 405138349, 542306183], 683023413],
  [2 ** 32 - 1, [682209859, 665256254, 218184273], 54107166],
  [2 ** 32, [121326710, 377217776, 448640322], 249703093],
  [2 ** 32 + 1, [247962530, 537919862, 550198047], 960764930],
  [123456789012, [404816223, 699662458, 22222189], 365126984],
  [Number.MAX_SAFE_INTEGER, [101200597, 601965182, 239309731], 224475850],
  [Number.MIN_SAFE_INTEGER, [101200597, 601965182, 239309731], 224475850],
])('%d draws the same numbers as Python', (seed, first, last) => {
  const random = new PythonRandom(seed)
  const drawn = Array.from({ length: 700 }, () => random.integer(1, 10 ** 9))
  expect(drawn.slice(0, 3)).toEqual(first)
  expect(drawn.at(-1)).toBe(last)
})

/** `random.seed(3); [random.randint(low, high) for _ in range(8)]` */
test.each([
  [0, 0, [0, 0, 0, 0, 0, 0, 0, 0]],
  [-3, 4, [0, -1, 2, 4, -2, -3, 4, 1]],
  [1, 6, [2, 5, 5, 2, 3, 5, 4, 6]],
])('from %d to %d, both included', (low, high, wanted) => {
  const random = new PythonRandom(3)
  expect(wanted.map(() => random.integer(low, high))).toEqual(wanted)
})
