import { defineConfig } from 'vitest/config'

// Real children and real HTTP: two files at once are what two cores carry. No test's time is a result: a timeout is there
// to end what hangs.
export default defineConfig({
  test: {
    include: ['test/{unit,integration,repo,native,golden}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
})
