import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { assertName, isName } from '../../../../src/serving/models/names.ts'
import { refusal } from '../../support/errors.ts'

interface Document {
  readonly paths: Readonly<Record<string, unknown>>
}
const document = JSON.parse(
  readFileSync(new URL('../../../../openapi/openapi.json', import.meta.url), 'utf8'),
) as Document

test('no name shadows a segment of a path', () => {
  const paths = Object.keys(document.paths).map((path) => path.split('/'))
  // Path segments in the position of a model's name.
  const words = paths.flatMap((path) => {
    const place = path.findIndex((segment) => segment.startsWith('{model}'))
    if (place < 0) return []
    const before = path.slice(0, place).join('/')
    return paths
      .filter((other) => other.slice(0, place).join('/') === before)
      .flatMap((other) => (other[place] === undefined || /[{}]/.test(other[place]) ? [] : [other[place]]))
  })
  expect(words).toContain('stats')
  for (const word of words)
    expect(
      refusal(() => {
        assertName(word)
      }).message,
    ).toContain(`must not be "${word}", a part of the path`)
})

test.each([
  'net',
  'versions',
  'metadata',
  'ready',
  'repository',
  'Stats',
  'stats.1',
  '__proto__',
  'constructor',
  '.hidden',
])('%s is a valid name', (name) => {
  expect(isName(name)).toBe(true)
  expect(() => {
    assertName(name)
  }).not.toThrow()
})

test.each(['', '.', '..', 'a b', 'a/b', 'ü', 'a\n', 'x.tmp', '.nfs01', 'A'.repeat(64), 'a'.repeat(101)])(
  '%j is none',
  (name) => {
    expect(isName(name)).toBe(false)
    expect(
      refusal(() => {
        assertName(name)
      }).code,
    ).toBe('INVALID_REQUEST')
  },
)
