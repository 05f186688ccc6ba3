import { defineConfig } from 'vitest/config'

// In a browser (RESINIT_CHROMIUM: Debian's chromium), against the service as its users start it.
export default defineConfig({
  test: {
    include: ['test/page/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 300_000,
  },
})
