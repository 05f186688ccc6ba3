import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from 'vitest'
import { readJson } from '../../../src/common/json-parts.ts'
import { jsonProblem, malformedJson, parseJson } from '../../../src/common/json-limits.ts'

const TEN_MB = 10_000_000

function problemOf(text: string | Buffer): string | undefined {
  try {
    parseJson(Buffer.isBuffer(text) ? text : Buffer.from(text))
    return undefined
  } catch (error) {
    return jsonProblem(error)
  }
}

describe('untrusted JSON', () => {
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
    ['objects in a sequence', `[${'{"a":0,"b":0},'.repeat(TEN_MB / 14)}0]`, 'has more than 50000 fields'],
    ['empty records', `[${'{},'.repeat(TEN_MB / 3)}0]`, 'has more than 50000 objects'],
    ['just too deep', '['.repeat(65) + ']'.repeat(65)],
  ])('10 MB are rejected quickly: %s', (_, text, problem = 'is nested deeper than 64 levels') => {
    const bytes = Buffer.from(text)
    // The best of several runs, because other processes share the processor.
    const times = Array.from({ length: 5 }, () => {
      const start = performance.now()
      expect(problemOf(bytes)).toBe(problem)
      return performance.now() - start
    })
    expect(Math.min(...times)).toBeLessThan(100)
  })

  test('the check of flat JSON is as fast as its parsing', () => {
    const text = Buffer.from(`["${'A'.repeat(TEN_MB)}"${',"",[0]'.repeat(TEN_MB / 10)}]`)
    const time = (run: () => unknown): number => {
      const start = performance.now()
      run()
      return performance.now() - start
    }
    const plain = time(() => JSON.parse(text.toString()) as unknown)
    expect(time(() => parseJson(text))).toBeLessThan(5 * plain + 500)
  })

  describe('with many values', () => {
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
      // The best of several runs, because other processes share the processor.
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

describe('a duplicate field', () => {
  const errorOf = (text: string): { detail: string; pointers: string[] } => {
    try {
      parseJson(Buffer.from(text))
    } catch (error) {
      const { message, errors } = malformedJson('the body', error)
      return { detail: message, pointers: errors.map(({ pointer }) => pointer) }
    }
    throw new Error('it was taken')
  }

  test.each([
    ['{"a": 1, "b": 2, "a": 3}', '#/a'],
    ['{"a": {"b": 1, "c": {}, "b": 1}}', '#/a/b'],
    ['[[], {"a": 0}, [1, 2, {"a": 0, "x": [3, 4], "a": 0}]]', '#/2/2/a'],
    ['{"a": 1, "\\u0061": 2}', '#/a'],
    ['{"é": 1, "\\u00e9": 2}', '#/é'],
    ['{"a/b~": {"c": 1, "c": 1}}', '#/a~1b~0/c'],
    ['{"__proto__": 1, "__proto__": 2}', '#/__proto__'],
    ['{"": 1, "": 2}', '#/'],
    ['{"a" :1,"b":"a","a"\n:2}', '#/a'],
  ])('is rejected with its name and pointer: %s', (text, pointer) => {
    const { detail, pointers } = errorOf(text)
    expect(pointers).toEqual([pointer])
    expect(detail).toMatch(/^the body has the field ".*" twice, at #\//)
    expect(detail).toContain(pointer)
  })

  test('is abbreviated in the error', () => {
    const name = 'n'.repeat(1_000_000)
    expect(errorOf(`{"${name}": 1, "${name}": 2}`).detail.length).toBeLessThan(500)
  })

  test.each([
    '[{"a": 1}, {"a": 2}]',
    '{"a": {"a": {"a": 1}}, "b": {"a": 1}}',
    '{"a": "b", "b": "a", "A": "a"}',
    '{"a": ["a", "a", {"a": 1}], "c": "a"}',
    '{"a": "\\"a\\": 1, \\"a\\": 2"}',
  ])('is not a field that several objects have once: %s', (text) => {
    expect(parseJson(Buffer.from(text))).toEqual(JSON.parse(text))
  })

  test('is found in any object of large JSON', async () => {
    const text = `{"a": [${'[1,2,{"x":"y"}],'.repeat(40_000)}{"b": 1, "b": 1}]}`
    const problem = await readJson(Buffer.from(text)).catch(jsonProblem)
    expect(problem).toBe('has the field "b" twice, at #/a/40000/b; send it once')
  })

  test('is detected at the speed of parsing', () => {
    const fields = Array.from({ length: 49_000 }, (_, index) => `"name-${String(index)}":${String(index)}`)
    const bytes = Buffer.from(`{${fields.join()}}`)
    const times = (run: () => unknown): number =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const start = performance.now()
          run()
          return performance.now() - start
        }),
      )
    const plain = times(() => JSON.parse(bytes.toString()) as unknown)
    expect(times(() => parseJson(bytes))).toBeLessThan(10 * plain + 100)
  })
})

describe('large JSON is parsed in parts and', () => {
  /** Larger than the limit for one step, in many shapes: long strings, long lists, nested objects. */
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('\\', '"', '\ud83d\ude00', '\ud83d', '\u0000', 'ü', '[{', ',:'),
  )
  const long = fc
    .tuple(text, fc.constantFrom(1, 1000, 70_000, 400_000))
    .map(([unit, times]) => unit.repeat(Math.min(times, Math.ceil(1_500_000 / Math.max(1, unit.length)))))
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), text, long),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(fc.oneof(text, fc.constantFrom('__proto__', 'a')), tie('value'), { maxKeys: 5 }),
      fc.tuple(tie('value'), fc.constantFrom(100, 30_000)).map(([one, times]) => {
        const size = Math.max(1, JSON.stringify(one).length)
        return Array.from({ length: Math.min(times, Math.ceil(200_000 / size)) }, () => one)
      }),
    ),
  }))

  test('equals the result of JSON.parse for any whitespace', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { maxLength: 4 }),
        fc.constantFrom(0, 1, '\n\t'),
        async (some, space) => {
          // UTF-8 has no lone surrogates.
          const bytes = Buffer.from(JSON.stringify([some, 'x'.repeat(300_000)], undefined, space))
          fc.pre(bytes.length < 20_000_000)
          const read = await readJson(bytes).catch(jsonProblem)
          fc.pre(!String(read).startsWith('has more than'))
          expect(isDeepStrictEqual(read, JSON.parse(bytes.toString()))).toBe(true)
        },
      ),
      { numRuns: 60, seed: 5 },
    )
  }, 300_000)

  test('with one changed byte is rejected or equals the result of JSON.parse', async () => {
    const list = `[${'1,'.repeat(40_000)}"${'a\\n'.repeat(30_000)}"]`
    const whole = Buffer.from(`{"a": ${list}, "b": {"c": ${list}, "d": [[], {}]}, "e": ${list}}`)
    const expected = (bytes: Buffer): unknown => {
      try {
        return JSON.parse(bytes.toString())
      } catch {
        return 'is not JSON'
      }
    }
    const places = fc.oneof(
      fc.nat(whole.length - 1),
      fc.integer({ min: 0, max: 40 }),
      fc.nat(20).map((back) => whole.length - 1 - back),
    )
    let refused = 0
    await fc.assert(
      fc.asyncProperty(places, fc.constantFrom(...Array.from('[]{},:"\\ 0a')), async (place, letter) => {
        const bytes = Buffer.from(whole)
        bytes.write(letter, place)
        const read = await readJson(bytes).catch(jsonProblem)
        const wanted = expected(bytes)
        if (wanted === 'is not JSON') refused += 1
        if (!String(read).startsWith('has the field')) expect(isDeepStrictEqual(read, wanted)).toBe(true)
      }),
      { numRuns: 150, seed: 6 },
    )
    expect(refused).toBeGreaterThan(50)
  }, 300_000)

  test.each([
    ['a comma at the end', `[${'1,'.repeat(200_000)}]`],
    [
      'a comma at the end of an object',
      `{${Array.from({ length: 40_000 }, (_, i) => `"${String(i)}":1,`).join('')}}`,
    ],
    ['two commas', `[${'1,'.repeat(200_000)},${'1,'.repeat(200_000)}1]`],
    ['nothing before a comma', `[${' '.repeat(300_000)},1]`],
    ['two values', `[${'1,'.repeat(200_000)}1] [2]`],
    ['a value beside a large one', `[${'1,'.repeat(200_000)}1, 2 [${'1,'.repeat(200_000)}1]]`],
    ['a name without a value', `{"a": [${'1,'.repeat(200_000)}1], "b"}`],
    ['an invalid escape', `["${'\\n'.repeat(700_000)}\\x"]`],
    ['an escape that ends too early', `["${'a'.repeat(999_999)}\\u00"]`],
    ['no end', `[[${'1,'.repeat(200_000)}1]`],
    ['no end of a text', `["${'a'.repeat(400_000)}`],
  ])('is rejected with %s', async (_, json) => {
    expect(await readJson(Buffer.from(json)).catch(jsonProblem)).toBe('is not JSON')
  })
})
