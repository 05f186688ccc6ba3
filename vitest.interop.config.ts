import { defineConfig } from 'vitest/config'

// Against Python (RESINIT_PYTHON: an interpreter with Keras and TensorFlow), whose imports alone take seconds.
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
})
