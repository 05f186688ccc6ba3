import type { Static } from 'typebox'
import type { Specification } from '../../network/specification.ts'
import { VERSION as SERVICE_VERSION } from '../../version.ts'
import type { App, Services } from '../services.ts'
import { findModel, namedModels, paths, tags, VERSION } from './models.ts'
import { stateOf } from './repository.ts'
import { ModelConfig, ModelMetadata, ModelNames, ModelReady, ServerMetadata } from './schemas.ts'
import { ServiceError } from '../../errors.ts'

/** As they are called in a `JobResult` too. */
export const OUTPUTS = ['probabilities', 'logits'] as const

const PLATFORM = 'tensorflow_savedmodel'
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'model_repository',
  'model_configuration',
  'statistics',
]

/** What there is: the server, its models, what goes into each and comes out. */
export function metadataRoutes(app: App, { registry, config }: Services): void {
  const server = { name: 'resinit', version: SERVICE_VERSION, extensions: EXTENSIONS }
  for (const path of ['/v2', '/v2/']) {
    app.get(
      path,
      { schema: { tags, summary: 'The server and its extensions', response: { 200: ServerMetadata } } },
      () => server,
    )
  }
  app.get(
    '/v2/models',
    { schema: { tags, summary: 'Names of all models', response: { 200: ModelNames } } },
    () => ({
      models: namedModels(registry).map(({ name }) => name),
    }),
  )
  for (const { path, params } of paths('')) {
    const schema = {
      tags,
      summary: 'Inputs and outputs of a model',
      params,
      response: { 200: ModelMetadata },
    }
    app.get(path, { schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return metadataOf(name, model.record.specification)
    })
  }
  for (const { path, params } of paths('/config')) {
    const schema = { tags, summary: 'Configuration of a model', params, response: { 200: ModelConfig } }
    app.get(path, { schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return configOf(name, model.record.specification, config.MAX_BATCH_SIZE)
    })
  }
  for (const { path, params } of paths('/ready')) {
    const schema = { tags, summary: 'Whether a model is loaded', params, response: { 200: ModelReady } }
    app.get(path, { schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      const { state, reason } = stateOf(model)
      if (state !== 'READY')
        throw new ServiceError('MODEL_NOT_READY', `model '${name}' is not ready: ${reason}`)
      return { name, ready: true }
    })
  }
}

function metadataOf(name: string, { architecture, classes }: Specification): Static<typeof ModelMetadata> {
  return {
    name,
    versions: [VERSION],
    platform: PLATFORM,
    inputs: [
      { name: 'images', datatype: 'UINT8', shape: [-1, ...architecture.input_shape] },
      { name: 'image_bytes', datatype: 'BYTES', shape: [-1] },
    ],
    outputs: OUTPUTS.map((output) => ({ name: output, datatype: 'FP32', shape: [-1, classes] })),
  }
}

/** Without the batch, which comes first in every shape. */
function configOf(
  name: string,
  { architecture, classes }: Specification,
  maxBatchSize: number,
): Static<typeof ModelConfig> {
  const required = { format: 'FORMAT_NHWC', dims: [...architecture.input_shape], optional: false }
  // A batch of encoded images is [n], which the configuration can only say as a reshape of [n, 1].
  const encoded = { format: 'FORMAT_NONE', dims: [1], reshape: { shape: [] }, optional: true }
  return {
    name,
    platform: PLATFORM,
    backend: 'resinit',
    max_batch_size: maxBatchSize,
    input: [
      { name: 'images', data_type: 'TYPE_UINT8', ...required },
      { name: 'image_bytes', data_type: 'TYPE_STRING', ...encoded },
    ],
    output: OUTPUTS.map((output) => ({ name: output, data_type: 'TYPE_FP32', dims: [classes] })),
    dynamic_batching: {},
  }
}
