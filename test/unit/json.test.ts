import { describe, expect, test } from 'vitest'
import { readJson } from '../../src/http/json-body.ts'
import { jsonProblem, parseJson } from '../../src/json.ts'

const TEN_MB = 10_000_000

function problemOf(text: string | Buffer): string | undefined {
  try {
    parseJson(Buffer.isBuffer(text) ? text : Buffer.from(text))
    return undefined
  } catch (error) {
    return jsonProblem(error)
  }
}

describe('JSON from outside', () => {
  test.each([
    '{"a": [1, 2.5e3, true, null, "b"]}',
    '"[[[[ \\" ]]]"',
    `"${'\\\\'.repeat(3)}"`,
    `["${'['.repeat(100)}\\"${'{'.repeat(100)}"]`,
    '['.repeat(64) + ']'.repeat(64),
    `[${'[],'.repeat(1000)}[]]`,
  ])('equals JSON.parse: %s', (text) => {
    expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text))
    expect(parseJson(Buffer.from(`\uFEFF${text}`))).toEqual(JSON.parse(text))
  })

  test.each(['[', '{"a": "', '"\\"', ']', '', '{"a": 1]'])('is rejected if invalid: %s', (text) => {
    expect(problemOf(text)).toBe('is not JSON')
  })

  test.each<[string, string, string?]>([
    ['lists', '['.repeat(TEN_MB)],
    ['records', '{"a":'.repeat(TEN_MB / 5)],
    ['both, behind a text', `["${'\\"'.repeat(1000)}", ${'[{"[": '.repeat(TEN_MB / 8)}`],
    [
      'records, one behind the other',
      `[${'{"a":0,"b":0},'.repeat(TEN_MB / 14)}0]`,
      'has more than 50000 fields',
    ],
    ['empty records', `[${'{},'.repeat(TEN_MB / 3)}0]`, 'has more than 50000 objects'],
    ['just too deep', '['.repeat(65) + ']'.repeat(65)],
  ])('10 MB are rejected quickly: %s', (_, text, problem = 'is nested deeper than 64 levels') => {
    const bytes = Buffer.from(text)
    // The best of some: others want the processor too.
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now()
      expect(problemOf(bytes)).toBe(problem)
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(100)
  })

  test('the depth of what is flat is counted as fast as it is parsed', () => {
    const text = Buffer.from(`["${'A'.repeat(TEN_MB)}"${',"",[0]'.repeat(TEN_MB / 10)}]`)
    const time = (run: () => unknown): number => {
      const start = performance.now()
      run()
      return performance.now() - start
    }
    const plain = time(() => JSON.parse(text.toString()) as unknown)
    expect(time(() => parseJson(text))).toBeLessThan(5 * plain + 500)
  })

  describe('of many values', () => {
    const many = '1,[2.5e3,{"a":"b,c"},true,null,[]],'.repeat(45_000)

    test.each([
      `[${many}0]`,
      `{"a": [${many}"\\ud83d\\ude00 😀"], "__proto__": {"b": -0}, "a2": "x"} \n`,
      `\uFEFF[${many}0.1]`,
    ])('equals JSON.parse', async (text) => {
      expect(await readJson(Buffer.from(text))).toEqual(JSON.parse(text.replace('\uFEFF', '')))
    })

    test.each(['[', `[${many}`, `[${many}0`, `[${many}0]]`, `[${many}]`, `[${many}01]`, `[${many}'a']`])(
      'is rejected if invalid',
      async (text) => {
        const problem = await readJson(Buffer.from(text)).catch(jsonProblem)
        expect(problem).toBe('is not JSON')
      },
    )

    test('yields to the event loop', async () => {
      const bytes = Buffer.from(`[${many}${'0,'.repeat(TEN_MB / 4)}0]`)
      const shares: number[] = []
      // The best of some: others want the processor too.
      for (let run = 0; run < 3; run++) {
        let longest = 0
        let last = performance.now()
        const clock = setInterval(() => {
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
        }, 1)
        const start = performance.now()
        await readJson(bytes)
        clearInterval(clock)
        shares.push(Math.max(longest, performance.now() - last) / (performance.now() - start))
      }
      expect(Math.min(...shares)).toBeLessThan(1 / 3)
    })
  })
})
