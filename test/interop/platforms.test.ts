import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { platforms } from '../support/platforms.ts'

/** The x86-64 levels that the C library detects. */
function levels(environment: Readonly<Record<string, string>>): string[] {
  const help = execFileSync('/lib64/ld-linux-x86-64.so.2', ['--help'], {
    encoding: 'utf8',
    env: { ...process.env, ...environment },
  })
  return [...help.matchAll(/^ +(x86-64-v\d) \(supported/gm)].map(([, level = '']) => level)
}

it('the platforms differ: a machine without AVX2 and FMA is not x86-64-v3', () => {
  const [machine, narrow] = platforms.map(([, environment]) => levels(environment))
  expect(machine).toContain('x86-64-v3')
  expect(narrow).toEqual(['x86-64-v2'])
})
