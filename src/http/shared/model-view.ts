import type { Static } from 'typebox'
import type { EngineInfo } from '../../engine/contract.ts'
import { residualSchemes } from '../../network/schemes.ts'
import type { Specification } from '../../network/specification.ts'
import type { Model, ModelState } from '../../serving/models/model.ts'
import type { Model as ModelSchema, VersionStatus } from './model-schemas.ts'
import { VERSION } from './versions.ts'

/** TensorFlow Serving's word for a state; an unloaded model answers too, after it has been built again. */
const VERSION_STATE: Readonly<Record<ModelState, string>> = {
  building: 'LOADING',
  ready: 'AVAILABLE',
  unloaded: 'AVAILABLE',
  failed: 'END',
}

/** What a precision costs where nobody multiplies it; nothing while the engine has said nothing of itself. */
export function precisionAdvice({ precision }: Specification, engine: EngineInfo | undefined): string[] {
  if (precision !== 'bfloat16' || engine === undefined || engine.multiplies_bfloat16) return []
  return [
    'This processor has no bfloat16 multiplication (avx512_bf16 or amx_bf16): ResNet-50 was measured to take 2.7 times as long as in float32; use "precision": "float32" here, or a processor or GPU that has it.',
  ]
}

/** A model as answers show it. */
export function viewModel(model: Model, names: string[], engine: EngineInfo): Static<typeof ModelSchema> {
  const { record, state, lastError, totals, advice, artifactBytes, buildMs } = model
  return {
    id: record.id,
    names,
    state,
    ready: state === 'ready',
    last_error: lastError,
    spec: record.specification,
    weights: record.weights,
    scheme: viewScheme(record),
    seal: record.seal,
    weights_sha256: record.weights_sha256,
    parameter_count: totals.parameters,
    multiply_adds: totals.multiplyAdds,
    size_bytes: totals.bytes,
    artifact_bytes: artifactBytes,
    created_at: record.created_at,
    build_ms: buildMs,
    engine,
    model_version_status: [viewVersionStatus(model)],
    advice: [...advice, ...precisionAdvice(record.specification, engine)],
  }
}

/** TensorFlow's code for why a model failed; whatever else it was, it was not the client. */
const ERROR_CODE: Readonly<Record<string, string>> = {
  WEIGHTS_DIVERGED: 'DATA_LOSS',
  WEIGHTS_DAMAGED: 'DATA_LOSS',
  MODEL_QUARANTINED: 'UNAVAILABLE',
  ENGINE_UNAVAILABLE: 'UNAVAILABLE',
}

/** A model's only version as TensorFlow Serving tells of it. */
export function viewVersionStatus({ state, lastError }: Model): Static<typeof VersionStatus> {
  return {
    version: VERSION,
    state: VERSION_STATE[state],
    status: {
      error_code: lastError === null ? 'OK' : (ERROR_CODE[lastError.code] ?? 'INTERNAL'),
      error_message: lastError?.detail ?? '',
    },
  }
}

function viewScheme({ specification, measured }: Model['record']): Static<typeof ModelSchema>['scheme'] {
  const name = specification.residual_scheme
  if (name === 'none') return null
  const { paper, statistic } = residualSchemes[name]
  return { name, paper, statistic, measured: measured ? [...measured] : null }
}
