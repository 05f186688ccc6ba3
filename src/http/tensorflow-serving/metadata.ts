import Type from 'typebox'
import { answer } from '../../common/schema.ts'
import type { Specification } from '../../network/specification.ts'
import { viewVersionStatus } from './version-status.ts'
import { VERSION } from '../shared/versions.ts'
import { VersionStatus } from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { findModel, paths, tags } from './find-model.ts'
import { SIGNATURE } from './request.ts'

const Metadata = answer('TensorFlowServingMetadata', {
  model_spec: Type.Object({ name: Type.String(), signature_name: Type.String(), version: Type.String() }),
  metadata: Type.Record(Type.String(), Type.Unknown()),
})
const Status = answer('TensorFlowServingStatus', { model_version_status: Type.Array(VersionStatus) })

interface Context {
  readonly registry: Registry
}

/** Signatures of a model, and the status of its version. Without a version the native route reports the status. */
export function registerMetadataRoutes(app: App, { registry }: Context): void {
  for (const { path, subject, params } of paths('/metadata')) {
    const schema = {
      operationId: `get${subject}Signatures`,
      tags,
      summary: 'Gets the signatures of a model',
      params,
      response: { 200: Metadata },
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return {
        model_spec: { name, signature_name: '', version: VERSION },
        metadata: { signature_def: { signature_def: describeSignatures(model.record.specification) } },
      }
    })
  }
  const [, { path, params }] = paths('')
  const schema = {
    operationId: 'getModelVersionStatus',
    tags,
    summary: 'Gets the status of a version',
    params,
    response: { 200: Status },
  }
  app.get(path, { config: { scope: 'read' }, schema }, (request) =>
    viewVersionStatus(findModel(registry, request.params).model),
  )
}

/** SignatureDefs in protobuf's JSON mapping, where int64 is a string. */
function describeSignatures({ architecture, classes }: Specification) {
  const tensor = (name: string, dtype: string, shape: readonly number[]) => ({
    dtype,
    tensor_shape: { dim: shape.map((size) => ({ size: String(size), name: '' })), unknown_rank: false },
    name: `${name}:0`,
  })
  const outputs = {
    logits: tensor('logits', 'DT_FLOAT', [-1, classes]),
    probabilities: tensor('probabilities', 'DT_FLOAT', [-1, classes]),
  }
  const signature = (inputs: object) => ({
    ...{ inputs, outputs, method_name: 'tensorflow/serving/predict', defaults: {} },
  })
  return {
    [SIGNATURE]: signature({ images: tensor('images', 'DT_FLOAT', [-1, ...architecture.input_shape]) }),
    image_bytes: signature({ image_bytes: tensor('image_bytes', 'DT_STRING', [-1]) }),
  }
}
