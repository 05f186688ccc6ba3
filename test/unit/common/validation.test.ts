import Type from 'typebox'
import { describe, expect, test } from 'vitest'
import { fieldErrors } from '../../../src/common/errors.ts'
import { checker, didYouMean, parser } from '../../../src/common/validation.ts'
import { codeAndPointers, refusal } from '../support/errors.ts'

const Pool = Type.Object(
  { size: Type.Integer({ minimum: 1 }), kind: Type.Enum(['max', 'average']) },
  { additionalProperties: false },
)
const Body = Type.Object(
  {
    name: Type.String({ maxLength: 5 }),
    scale: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    pool: Type.Optional(Type.Union([Type.Null(), Type.Enum(['none', 'global']), Pool])),
    list: Type.Optional(Type.Union([Type.Boolean(), Type.Array(Type.Integer())])),
    one: Type.Optional(Type.Literal('x')),
    'a/b~c': Type.Optional(Type.Integer()),
  },
  { additionalProperties: false },
)
const check = checker(Body)

describe('errors of a body', () => {
  test.each<[object, string, string]>([
    [{ scale: 1 }, '#/name', 'is required'],
    [{ name: 'a', scale: -1 }, '#/scale', 'must be > 0, got -1'],
    [{ name: 64 }, '#/name', 'must be string, got 64'],
    [{ name: 'a', scale: '1' }, '#/scale', 'must be number, got "1"'],
    [{ name: 'a', scal: 1 }, '#/scal', 'is not a known field; did you mean "scale"?'],
    [
      { name: 'a', wholly: 1 },
      '#/wholly',
      'is not a known field; known: name, scale, pool, list, one, a/b~c',
    ],
    [
      { name: 'a', 'x/y~z': 1 },
      '#/x~1y~0z',
      'is not a known field; known: name, scale, pool, list, one, a/b~c',
    ],
    [{ name: 'a', 'a/b~c': 0.5 }, '#/a~1b~0c', 'must be integer, got 0.5'],
    [{ name: 'a', one: 'y' }, '#/one', 'must be "x", got "y"'],
    [{ name: 'abcdef' }, '#/name', 'must NOT have more than 5 characters, got "abcdef"'],
  ])('%j', (body, pointer, detail) => {
    expect(check(body)).toEqual([{ pointer, detail }])
  })

  test('are all reported, each once', () => {
    const errors = check({ scale: 0, nam: 'a' })
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual(['#/nam', '#/name', '#/scale'])
  })

  test('start at the given pointer', () => {
    expect(check({}, '#/specs/0')).toEqual([{ pointer: '#/specs/0/name', detail: 'is required' }])
  })

  test('abbreviate long values', () => {
    const [error] = check({ name: 'n'.repeat(500) })
    expect(error?.detail.length).toBeLessThan(150)
    expect(error?.detail).toMatch(/\.\.\.$/)
  })
})

describe('of a union', () => {
  test.each<[unknown, [string, string][]]>([
    [{ size: 0, kind: 'max' }, [['#/pool/size', 'must be >= 1, got 0']]],
    [
      { size: 2, kind: 'mean' },
      [['#/pool/kind', 'must be one of "max", "average", got "mean"; did you mean "max"?']],
    ],
    [{ size: 2, kind: 'max', stride: 1 }, [['#/pool/stride', 'is not a known field; known: size, kind']]],
    ['globl', [['#/pool', 'must be a null or "none", "global" or an object, got "globl"']]],
    [7, [['#/pool', 'must be a null or "none", "global" or an object, got 7']]],
  ])('%j is checked against the matching branch', (pool, expected) => {
    expect(check({ name: 'a', pool }).map(({ pointer, detail }) => [pointer, detail])).toEqual(expected)
  })

  test.each([[null], ['none'], [{ size: 1, kind: 'max' }]])('%j matches a branch', (pool) => {
    expect(check({ name: 'a', pool })).toEqual([])
  })

  test('errors within an array have pointers into the array', () => {
    expect(check({ name: 'a', list: [1, 'b'] })).toEqual([
      { pointer: '#/list/1', detail: 'must be integer, got "b"' },
    ])
    expect(check({ name: 'a', list: 'b' })).toEqual([
      { pointer: '#/list', detail: 'must be a boolean or an array, got "b"' },
    ])
  })
})

describe('parser', () => {
  test('returns the value unchanged: nothing coerced, removed or added', () => {
    const body = { name: 'a' }
    expect(parser(Body)(body)).toBe(body)
    expect(body).toEqual({ name: 'a' })
    expect(codeAndPointers(refusal(() => parser(Body)({ name: 1, x: 2 })))).toEqual([
      'INVALID_REQUEST',
      '#/x',
      '#/name',
    ])
  })

  test('parses scalars of text', () => {
    const Query = Type.Object({
      k: Type.Integer({ minimum: 1, default: 5 }),
      batch: Type.Optional(Type.Boolean()),
    })
    const parse = parser(Query, 'text')
    expect(parse({ k: '3', batch: 'false' })).toEqual({ k: 3, batch: false })
    expect(parse({})).toEqual({ k: 5 })
    expect(refusal(() => parse({ k: 'many' })).message).toBe('#/k must be integer, got "many"')
  })
})

describe('error texts', () => {
  test('the first wrong field is the detail, the number of others follows', () => {
    const errors = ['a', 'b', 'c'].map((pointer) => ({ pointer, detail: 'is wrong' }))
    expect(fieldErrors(errors)).toMatchObject({ message: 'a is wrong (and 2 more)', errors })
    expect(() => fieldErrors([])).toThrow(TypeError)
  })

  test.each([
    ['stdev', ['mean', 'stddev'], 'did you mean "stddev"?'],
    ['zzzzzz', ['mean', 'stddev'], 'known: mean, stddev'],
    ['x', [], 'no field is known here'],
  ])('the nearest name to %j of %j', (wrong, known, expected) => {
    expect(didYouMean(wrong, known)).toBe(expected)
  })

  test('a long list of names is abbreviated', () => {
    const known = Array.from({ length: 40 }, (_, i) => `name${String(i)}`)
    expect(didYouMean('quite different', known)).toMatch(/name23, \.\.\.$/)
  })
})
