import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

// A tenth of the full counts; needs root, nginx and ip.
it.each([
  ['replicas', 500],
  ['killed-service', 20],
  ['sigterm', 5],
])('proof/parts/%s.mjs reports no failure', { timeout: 600_000 }, async (name, count) => {
  const { stdout } = await run(process.execPath, [`proof/parts/${name}.mjs`, '--share', '0.1'], { cwd: ROOT })
  const outcome = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { count: number; failed: number }
  expect(outcome.failed).toBe(0)
  expect(outcome.count).toBeGreaterThanOrEqual(count)
})
