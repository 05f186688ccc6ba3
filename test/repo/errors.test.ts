import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ERRORS } from '../../src/common/errors.ts'

test('every error code is expected by a test', () => {
  const folder = fileURLToPath(new URL('../integration', import.meta.url))
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  )
  const texts = files.map((name) => readFileSync(`${folder}/${name}`, 'utf8'))
  const expected = new Set(
    texts.flatMap((text) => [...text.matchAll(/'([A-Z_]+)'/g)].map(([, word]) => word)),
  )
  expect(Object.keys(ERRORS).filter((code) => !expected.has(code))).toEqual([])
})
