import { spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * Runs all parts one after another, each in its own process and with the same flags. A failed part does not
 * stop the others.
 */
const PARTS = [
  ...['model', 'creation', 'statistics', 'serving', 'overload', 'truncated'],
  ...['undisturbed', 'overhead', 'cycles'],
]

const failed = []

for (const part of PARTS) {
  const child = spawn(process.execPath, [`bench/parts/${part}.mjs`, ...process.argv.slice(2)], {
    stdio: 'inherit',
  })
  await once(child, 'exit')
  if (child.exitCode !== 0) failed.push(part)
}
if (failed.length > 0) throw new Error(`failed: ${failed.join(', ')}`)
