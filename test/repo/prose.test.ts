import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { ERRORS, type ErrorCode } from '../../src/common/errors.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8')

/** Tracked files, and untracked files that git does not ignore. */
const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .split('\0')
  .filter((name) => name !== '' && existsSync(path.join(ROOT, name)))

describe('scripts', () => {
  const { scripts } = JSON.parse(read('package.json')) as { readonly scripts: Record<string, string> }
  /** The scripts in `npm run NAME`, `npm test` and `npm start`. */
  const named = (text: string): string[] =>
    [...text.matchAll(/\bnpm (?:run(?:-script)? (?:-s |--silent )?([\w:-]+)|(test|start)\b(?!:))/g)].map(
      ([, run, short]) => run ?? short ?? '',
    )

  test('the README names some', () => {
    expect(named(read('README.md'))).not.toEqual([])
  })

  test.each(tracked.filter((name) => name.endsWith('.md')))('named in %s exist', (name) => {
    expect(named(read(name)).filter((script) => !(script in scripts))).toEqual([])
  })

  test('are found in prose', () => {
    expect(named('`npm run check`, npm test and `npm run test:interop -- x`; npm ci')).toEqual([
      'check',
      'test',
      'test:interop',
    ])
  })
})

describe('plain English', () => {
  const indirect = /\b(whoever|nobody|(is|are) told)\b/i
  const written = tracked.filter((name) => name.endsWith('.md') && name !== 'docs/api.md')

  test.each(written)('in %s', (name) => {
    expect(read(name)).not.toMatch(indirect)
  })

  test('excludes indirect subjects', () => {
    expect('Whoever sends it is told so').toMatch(indirect)
  })
})

test('no file contains a path of a machine', () => {
  // The expression is assembled here, so that this file does not match. A mount's target is a path of the image.
  const machinePath = new RegExp(`(?:^|(?<!target)[^\\w./-])/(?:${['work', 'root', 'farm'].join('|')})/`, 'm')
  const offending = tracked.filter((name) => {
    const text = read(name)
    return !text.includes('\0') && machinePath.test(text)
  })
  expect(tracked).toContain('package.json')
  expect(offending).toEqual([])
  expect(machinePath.test(`see ${path.join('/', 'work', 'main')}`)).toBe(true)
})

test('docs/errors.md lists every error code', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `(\w+)` +\| (\d{3}) +\| (.+?) +\| (.+?) +\|$/gm)]
  const written = rows.map(([, code, status]) => `${code ?? ''} ${status ?? ''}`)
  const codes = Object.keys(ERRORS) as ErrorCode[]

  expect(written).toEqual([...new Set(written)])
  expect(written.toSorted()).toEqual(codes.map((code) => `${code} ${String(ERRORS[code].status)}`).toSorted())
})
