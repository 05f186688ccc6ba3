import fs, { appendFileSync, readlinkSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import process from 'node:process'

/**
 * Loaded before a program, it records the calls with which the program makes files durable: one JSON array
 * per line with the operation and its paths. Every call is passed on unchanged.
 */
const record = process.env['RESINIT_TEST_WRITES'] ?? ''
/** @param {string[]} entry */
const note = (...entry) => {
  appendFileSync(record, `${JSON.stringify(entry)}\n`)
}

/** @param {number} fd */
const pathOf = (fd) => readlinkSync(`/proc/self/fd/${String(fd)}`)

const { link, mkdir, open, rename } = promises
promises.rename = async (from, to) => {
  note('rename', String(from), String(to))
  await rename(from, to)
  note('renamed', String(from), String(to))
}
promises.link = async (from, to) => {
  await link(from, to)
  note('linked', String(from), String(to))
}
promises.mkdir = /** @type {typeof mkdir} */ (
  async (/** @type {Parameters<typeof mkdir>} */ ...given) => {
    const made = await mkdir(...given)
    if (made !== undefined) note('made', String(given[0]))
    return made
  }
)
// Used by streams.
const { fsync } = fs
fs.fsync = /** @type {typeof fsync} */ (
  (fd, done) => {
    const path = pathOf(fd)
    note('sync', path)
    fsync(fd, (error) => {
      note('sync done', path)
      done(error)
    })
  }
)
syncBuiltinESMExports()

// Used by everything else, including the file that writeFile of promises opens.
const file = await open(process.execPath)
/** @type {unknown} */
const found = Object.getPrototypeOf(file)
const prototype = /** @type {Record<'sync', (this: promises.FileHandle) => Promise<void>>} */ (found)
await file.close()
const { sync } = prototype
/** @this {promises.FileHandle} */
prototype.sync = async function () {
  const path = pathOf(this.fd)
  note('sync', path)
  await sync.call(this)
  note('sync done', path)
}
