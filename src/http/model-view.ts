import type { Static } from 'typebox'
import type { EngineInfo } from '../engine/engine.ts'
import { residualSchemes } from '../network/schemes.ts'
import type { Model, ModelState } from '../serving/model.ts'
import type { Model as ModelSchema } from './schemas/models.ts'

/** TensorFlow Serving's word for a state; an unloaded model answers too, after it has been built again. */
const VERSION_STATE: Readonly<Record<ModelState, string>> = {
  building: 'LOADING',
  ready: 'AVAILABLE',
  unloaded: 'AVAILABLE',
  failed: 'END',
}

/** A model as answers show it. */
export function viewModel(model: Model, names: string[], engine: EngineInfo): Static<typeof ModelSchema> {
  const { record, state, lastError, totals, advice, artifactBytes, buildMs } = model
  return {
    id: record.id,
    names,
    state,
    last_error: lastError,
    spec: record.specification,
    weights: record.weights,
    scheme: schemeOf(record),
    seal: record.seal,
    weights_sha256: record.weights_sha256,
    parameter_count: totals.parameters,
    multiply_adds: totals.multiplyAdds,
    size_bytes: totals.bytes,
    artifact_bytes: artifactBytes,
    created_at: record.created_at,
    build_ms: buildMs,
    engine,
    model_version_status: [
      {
        version: '1',
        state: VERSION_STATE[state],
        status: { error_code: lastError ? 'UNKNOWN' : 'OK', error_message: lastError?.detail ?? '' },
      },
    ],
    advice: [...advice],
  }
}

function schemeOf({ specification, measured }: Model['record']): Static<typeof ModelSchema>['scheme'] {
  const name = specification.residual_scheme
  if (name === 'none') return null
  const { paper, statistic } = residualSchemes[name]
  return { name, paper, statistic, measured: measured ? [...measured] : null }
}
