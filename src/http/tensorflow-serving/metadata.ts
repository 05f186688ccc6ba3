import Type from 'typebox'
import { answer } from '../../common/schema.ts'
import type { Specification } from '../../network/specification.ts'
import { viewVersionStatus } from '../shared/model-view.ts'
import { VERSION } from '../shared/versions.ts'
import { VersionStatus } from '../shared/model-schemas.ts'
import type { App, Services } from '../shared/services.ts'
import { findModel, paths, tags } from './find-model.ts'
import { SIGNATURE } from './request.ts'

const Metadata = answer('TensorFlowServingMetadata', {
  model_spec: Type.Object({ name: Type.String(), signature_name: Type.String(), version: Type.String() }),
  metadata: Type.Record(Type.String(), Type.Unknown()),
})
const Status = answer('TensorFlowServingStatus', { model_version_status: Type.Array(VersionStatus) })

/** A model's signatures, and the state of its version; without a version the state is part of our own answer. */
export function metadataRoutes(app: App, { registry }: Services): void {
  for (const { path, subject, params } of paths('/metadata')) {
    const schema = {
      operationId: `get${subject}Signatures`,
      tags,
      summary: 'Signatures of a model',
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
    summary: 'The state of a version',
    params,
    response: { 200: Status },
  }
  app.get(path, { config: { scope: 'read' }, schema }, (request) => ({
    model_version_status: [viewVersionStatus(findModel(registry, request.params).model)],
  }))
}

/** SignatureDefs as protobuf's JSON has them: int64 are strings. */
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
