import type { StoredModel } from './records.ts'

export type ModelState = 'building' | 'ready' | 'unloaded' | 'failed'

/** A model as everybody sees it. */
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

/** A model with what serving it needs: the registry and its residency change it, nobody else does. */
export type Entry = { -readonly [K in keyof Model]: Model[K] } & {
  /** What one engine holds of it when it is there, in bytes: more than its variables. */
  readonly footprint: number
  /** What all engines hold of it; 0 where they hold nothing. */
  residentBytes: number
  /** Counts up with every use of any model. */
  lastUsed: number
  building: Promise<void> | undefined
  digesting: Promise<void> | undefined
  /** The first write of its record: until then it is not there for anybody. */
  created: Promise<void>
  /** Whether its record is on disk, as far as this service knows. */
  stored: boolean
}
