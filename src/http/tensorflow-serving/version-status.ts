import type { Static } from 'typebox'
import type { Model, ModelState } from '../../serving/models/model.ts'
import type { VersionStatus } from '../shared/model-schemas.ts'
import { VERSION } from '../shared/versions.ts'

/** TensorFlow Serving's names of the states. An unloaded model is AVAILABLE: a request builds it again. */
const VERSION_STATES: Readonly<Record<ModelState, string>> = {
  building: 'LOADING',
  ready: 'AVAILABLE',
  unloaded: 'AVAILABLE',
  failed: 'END',
}

/** TensorFlow's codes for the error of a failed model; INTERNAL for all others. */
const ERROR_CODES: Readonly<Record<string, string>> = {
  WEIGHTS_DIVERGED: 'DATA_LOSS',
  WEIGHTS_DAMAGED: 'DATA_LOSS',
  MODEL_QUARANTINED: 'UNAVAILABLE',
  ENGINE_UNAVAILABLE: 'UNAVAILABLE',
}

/** Formats the only version of a model for TensorFlow Serving. */
export function viewVersionStatus({ state, lastError }: Model): {
  model_version_status: Static<typeof VersionStatus>[]
} {
  return {
    model_version_status: [
      {
        version: VERSION,
        state: VERSION_STATES[state],
        status: {
          error_code: lastError === null ? 'OK' : (ERROR_CODES[lastError.code] ?? 'INTERNAL'),
          error_message: lastError?.detail ?? '',
        },
      },
    ],
  }
}
