import { defineConfig } from 'vitest/config'
import { slowestFirst } from './test/support/sequencer.ts'

const SLOWEST =
  'signals weights-verification draining watchdog engine-crash residual-schemes decoder-process storage ' +
  'tensorflow-serving model-cache oddities initializers worker'

// Tests use real child processes and HTTP, so two files at once occupy two cores. Timeouts only end hanging tests.
export default defineConfig({
  test: {
    include: ['test/{unit,integration,repo,native,golden}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: slowestFirst(SLOWEST.split(' ')) },
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
