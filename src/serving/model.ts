import type { StoredModel } from './store.ts'

export type ModelState = 'building' | 'ready' | 'unloaded' | 'failed'

/** A model as the registry knows it. Only the registry changes it. */
export interface Model {
  readonly record: StoredModel
  readonly state: ModelState
  readonly lastError: { readonly code: string; readonly detail: string } | null
  readonly totals: { readonly parameters: number; readonly multiplyAdds: number; readonly bytes: number }
  readonly advice: readonly string[]
  /** Of the last build in this process. */
  readonly artifactBytes: number | null
  readonly buildMs: number | null
}
