import { afterAll, vi } from 'vitest'

// Files share one process, so each file restores the global state that it has changed.
afterAll(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
})
