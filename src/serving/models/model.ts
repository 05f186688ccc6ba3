import { estimateFootprint } from '../../engine/footprint.ts'
import type { Plan } from '../../network/plan.ts'
import type { StoredModel } from './records.ts'

export type ModelState = 'building' | 'ready' | 'unloaded' | 'failed'

/** A model as its readers see it. */
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

/** A model with its serving state. Only the registry and its parts change it. */
export type Entry = { -readonly [K in keyof Model]: Model[K] } & {
  /** The memory that the model takes in one engine, in bytes: more than its variables. */
  readonly footprint: number
  /** The memory that it takes in all engines; 0 while it is not resident. */
  residentBytes: number
  /** The sequence number of its last use, over the uses of all models. */
  lastUsed: number
  building: Promise<void> | undefined
  digesting: Promise<void> | undefined
  /** The first write of its record. The model exists only after it. */
  created: Promise<void>
  /** True if its record was on disk at the last poll or change by this service. */
  stored: boolean
}

export function createEntry(record: StoredModel, plan: Plan): Entry {
  return {
    record,
    state: 'unloaded',
    lastError: null,
    totals: plan.totals,
    advice: plan.advice,
    artifactBytes: null,
    buildMs: null,
    footprint: estimateFootprint(plan),
    residentBytes: 0,
    lastUsed: 0,
    building: undefined,
    digesting: undefined,
    created: Promise.resolve(),
    stored: false,
  }
}
