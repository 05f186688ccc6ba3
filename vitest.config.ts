import { defineConfig } from 'vitest/config'

// Real children and real HTTP: two files at once are what two cores carry.
export default defineConfig({
  test: {
    include: ['test/{unit,integration,house,native,golden}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
