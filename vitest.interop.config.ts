import { defineConfig } from 'vitest/config'

// Against Python (RESINIT_PYTHON: an interpreter with Keras and TensorFlow), whose imports alone take seconds; and whole
// services that start and stop, which wait more than they compute.
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
