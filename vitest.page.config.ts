import { defineConfig } from 'vitest/config'

// In a browser (RESINIT_CHROMIUM, by default Debian's chromium), against the compiled service.
export default defineConfig({
  test: {
    include: ['test/page/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
})
