import { appendFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'

/**
 * Loaded before a program, it writes down in order what the program does to make files last: one JSON array a line, what
 * and which paths. Everything is passed on as it was called.
 */
const record = process.env['RESINIT_TEST_WRITES'] ?? ''
/** @param {string[]} entry */
const note = (...entry) => {
  appendFileSync(record, `${JSON.stringify(entry)}\n`)
}

const { mkdir, open, rename } = fs
/** @type {WeakMap<fs.FileHandle, string>} */
const paths = new WeakMap()

fs.open = async (path, ...rest) => {
  const file = await open(path, ...rest)
  paths.set(file, String(path))
  return file
}
fs.rename = async (from, to) => {
  note('rename', String(from), String(to))
  await rename(from, to)
  note('renamed', String(from), String(to))
}
fs.mkdir = /** @type {typeof mkdir} */ (
  async (/** @type {Parameters<typeof mkdir>} */ ...given) => {
    const made = await mkdir(...given)
    if (made !== undefined) note('made', String(given[0]))
    return made
  }
)
syncBuiltinESMExports()

const file = await open(process.execPath)
/** @type {unknown} */
const found = Object.getPrototypeOf(file)
const prototype =
  /** @type {Record<'writeFile' | 'sync' | 'datasync', (this: fs.FileHandle, ...given: unknown[]) => Promise<void>>} */ (
    found
  )
await file.close()
for (const method of /** @type {const} */ (['writeFile', 'sync', 'datasync'])) {
  const original = prototype[method]
  prototype[method] = async function (...given) {
    const path = paths.get(this) ?? ''
    note(method, path)
    await original.apply(this, given)
    note(`${method} done`, path)
  }
}
