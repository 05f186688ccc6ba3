import { describe, expect, test } from 'vitest'
import { hashKey, generateKey, checkKeyLine, readKeys } from '../../../src/http/shared/api-keys.ts'

const sha256 = hashKey('secret').toString('hex')
const line = (fields: object): string => JSON.stringify({ name: 'team', sha256, scopes: ['read'], ...fields })

describe('the file of keys', () => {
  test('has one key per line, with comments and empty lines ignored', () => {
    const other = {
      sha256: hashKey('other').toString('hex'),
      expires: '2027-01-01',
      rate_limit: '10/second',
    }
    const keys = readKeys(
      `# keys\n${line({})}\r\n\n  # old\n${line({ ...other, scopes: ['predict', 'manage'] })}\n`,
    )
    expect(keys).toMatchObject([
      { name: 'team', expires: Infinity, rate: undefined },
      { name: 'team', expires: Date.UTC(2027, 0, 1), rate: { max: 10, windowMs: 1000 } },
    ])
    expect(keys.map(({ scopes }) => [...scopes])).toEqual([['read'], ['predict', 'manage']])
    expect(keys[0]?.sha256).toEqual(hashKey('secret'))
    expect(readKeys(line({ rate_limit: 'off' }))).toMatchObject([{ rate: null }])
    expect(readKeys(line({ expires: '2027-01-01T02:00:00+02:00' }))).toMatchObject([
      { expires: Date.UTC(2027, 0, 1) },
    ])
  })

  test.each([
    ['', 'it has no key; "npm run key" creates one'],
    ['# none\n', 'it has no key'],
    ['nonsense', 'line 1 is not a JSON object'],
    [`${line({})}\n${line({}).slice(0, 40)}`, 'line 2 is not a JSON object'],
    ['[]', 'line 1: it must be object'],
    ['null', 'line 1: it must be object'],
    [line({ name: 'a b' }), 'line 1: name must be like team-1'],
    [line({ scopes: [] }), 'line 1: scopes must NOT have fewer than 1 items'],
    [line({ scopes: ['write'] }), 'line 1: scopes/0 must be one of "predict", "read", "manage"'],
    [line({ sha256: 'the key itself' }), 'line 1: sha256 must be like 64 hexadecimal digits'],
    [line({ expires: 'tomorrow' }), 'line 1: expires must be like 2027-01-01 or 2027-01-01T00:00:00Z'],
    [line({ expires: '2027-02-30' }), 'line 1: expires is not a calendar date'],
    [line({ expires: '2027-13-01T00:00:00Z' }), 'line 1: expires is not a calendar date'],
    [line({ rate_limit: '0/minute' }), 'line 1: rate_limit must be like 600/minute or off'],
    [line({ expire: '2027-01-01' }), 'line 1: expire is not a known field; did you mean "expires"?'],
    [`\n${line({})}\n${line({ name: 'b' })}`, 'line 3: sha256 is the same as on line 2'],
  ])('is rejected with line and field: %s', (text, sentence) => {
    expect(() => readKeys(text)).toThrow(sentence)
  })

  test('never appears in errors: a value may be a key', () => {
    for (const field of ['name', 'sha256', 'scopes', 'expires', 'rate_limit'])
      expect(checkKeyLine({ name: 'a', sha256, scopes: ['read'], [field]: 'S3CRET !' })).not.toContain(
        'S3CRET',
      )
    expect(() => readKeys('S3CRET')).toThrow(/^((?!S3CRET).)*$/)
  })

  test('has a bounded number of keys', () => {
    const many = Array.from({ length: 1001 }, (_, index) =>
      line({ sha256: hashKey(String(index)).toString('hex') }),
    )
    expect(() => readKeys(many.join('\n'))).toThrow('more than 1000 keys')
    expect(readKeys(many.slice(1).join('\n'))).toHaveLength(1000)
  })

  test('gets keys that differ', () => {
    const keys = Array.from({ length: 100 }, generateKey)
    expect(new Set(keys).size).toBe(100)
    for (const key of keys) expect(key).toMatch(/^[\w-]{32}$/)
  })
})
