import { defineConfig } from 'vitest/config'
import { slowestFirst } from './test/support/sequencer.ts'

// Needs the interpreters that the variables RESINIT_PYTHON, RESINIT_CLIENTS_PYTHON, ... name: see .ci/stages/interop.
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    globalSetup: 'test/interop/keras-setup.ts',
    pool: 'forks',
    maxWorkers: 2,
    sequence: {
      sequencer: slowestFirst([
        'verify',
        'life-cycle',
        'photographs',
        'applications',
        'schemes',
        'weights',
        'round-trips',
      ]),
    },
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
