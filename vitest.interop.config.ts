import { defineConfig } from 'vitest/config'

// Needs the interpreters that the variables RESINIT_PYTHON, RESINIT_CLIENTS_PYTHON, ... name: see .ci/stages/interop.
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    globalSetup: 'test/interop/keras-setup.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
