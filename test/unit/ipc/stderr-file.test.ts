import { fstatSync, writeSync } from 'node:fs'
import { afterEach, expect, it, vi } from 'vitest'
import { StderrFile } from '../../../src/ipc/stderr-file.ts'

const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
afterEach(() => {
  written.mockClear()
})
const forwarded = (): string => written.mock.calls.map(([text]) => String(text)).join('')

it('forwards all text once and truncates the file', () => {
  const file = StderrFile.open()
  const line = `${'x'.repeat(999)}\n`
  for (let part = 0; part < 3; part++) {
    for (let count = 0; count < 1100; count++) writeSync(file.fd, line)
    file.forward()
    file.forward()
    expect(fstatSync(file.fd).size).toBe(0)
  }
  writeSync(file.fd, 'the last words')
  file.close()
  expect(forwarded()).toBe(`${line.repeat(3300)}the last words`)
})

it('names the folders if none accepts a file', () => {
  expect(() => StderrFile.open(['/no/such/folder', '/nor/this'])).toThrow('/no/such/folder or /nor/this')
})
