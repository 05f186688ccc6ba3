import type { Static } from 'typebox'
import type { EngineInfo } from '../../engine/contract.ts'
import { residualSchemes } from '../../network/schemes.ts'
import type { Specification } from '../../network/specification.ts'
import type { Model } from '../../serving/models/model.ts'
import type { Model as ModelSchema } from '../shared/model-schemas.ts'

type ModelView = Static<typeof ModelSchema>

/** Fields of a model that clients of other protocols read. */
export interface ProtocolFields {
  readonly kserve: (model: Model) => Pick<ModelView, 'ready'>
  readonly tensorflowServing: (model: Model) => Pick<ModelView, 'model_version_status'>
}

/** Advises against bfloat16 on a processor that emulates it. Empty without engine information. */
export function advisePrecision({ precision }: Specification, engine: EngineInfo | undefined): string[] {
  if (precision !== 'bfloat16' || engine === undefined || engine.multiplies_bfloat16) return []
  return [
    'This processor has no bfloat16 multiplication (avx512_bf16 or amx_bf16): ResNet-50 was measured to take 2.7 times as long as in float32; use "precision": "float32" here, or a processor or GPU that has it.',
  ]
}

/** Formats a model for responses. */
export function viewModel(
  model: Model,
  names: string[],
  engine: EngineInfo,
  { kserve, tensorflowServing }: ProtocolFields,
): ModelView {
  const { record, state, lastError, totals, advice, artifactBytes, buildMs } = model
  return {
    id: record.id,
    names,
    state,
    ...kserve(model),
    last_error: lastError,
    spec: record.specification,
    weights: record.weights,
    ...(record.loaded && { loaded: record.loaded }),
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
    ...tensorflowServing(model),
    advice: [...advice, ...advisePrecision(record.specification, engine)],
  }
}

function viewScheme({ specification, measured }: Model['record']): ModelView['scheme'] {
  const name = specification.residual_scheme
  if (name === 'none') return null
  const { paper, statistic } = residualSchemes[name]
  return { name, paper, statistic, measured: measured ? [...measured] : null }
}
