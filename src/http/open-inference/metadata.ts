import type { Static } from 'typebox'
import type { Specification } from '../../network/specification.ts'
import { VERSION as SERVICE_VERSION } from '../../common/version.ts'
import type { App, Services } from '../shared/services.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, namedModels, paths, tags } from './find-model.ts'
import { repositoryState } from './repository.ts'
import { ModelConfig, ModelMetadata, ModelNames, ModelReady, ServerMetadata } from './schemas.ts'
import { ServiceError } from '../../common/errors.ts'

/** As `Vector`s are called. */
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
  const schema = {
    operationId: 'getServerMetadata',
    tags,
    summary: 'The server and its extensions',
    response: { 200: ServerMetadata },
  }
  app.get('/v2', { config: { scope: 'read' }, schema }, () => server)
  app.get('/v2/', { config: { scope: 'read' }, schema: { hide: true } }, () => server)
  app.get(
    '/v2/models',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listModelNames',
        tags,
        summary: 'Names of all models',
        response: { 200: ModelNames },
      },
    },
    () => ({
      models: namedModels(registry).map(({ name }) => name),
    }),
  )
  for (const { path, subject, params } of paths('')) {
    const schema = {
      operationId: `get${subject}Metadata`,
      tags,
      summary: 'Inputs and outputs of a model',
      params,
      response: { 200: ModelMetadata },
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return describeModel(name, model.record.specification)
    })
  }
  for (const { path, subject, params } of paths('/config')) {
    const schema = {
      operationId: `get${subject}Config`,
      tags,
      summary: 'Configuration of a model',
      params,
      response: { 200: ModelConfig },
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      return describeConfig(name, model.record.specification, config.MAX_BATCH_SIZE)
    })
  }
  for (const { path, subject, params } of paths('/ready')) {
    const schema = {
      operationId: `check${subject}Ready`,
      tags,
      summary: 'Whether a model is loaded',
      params,
      response: { 200: ModelReady },
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      const { state, reason } = repositoryState(model)
      if (state !== 'READY')
        throw new ServiceError('MODEL_NOT_READY', `model '${name}' is not ready: ${reason}`)
      return { name, ready: true }
    })
  }
}

function describeModel(name: string, { architecture, classes }: Specification): Static<typeof ModelMetadata> {
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

/**
 * Shapes are whole, the batch first, so `max_batch_size` is 0: by Triton's rule any other would take the batch away from
 * every shape of the metadata, and `image_bytes` has nothing else; perf_analyzer would find an input without a shape.
 */
function describeConfig(
  name: string,
  { architecture, classes }: Specification,
  maxBatchSize: number,
): Static<typeof ModelConfig> {
  const required = { format: 'FORMAT_NONE', dims: [-1, ...architecture.input_shape], optional: false }
  return {
    name,
    platform: PLATFORM,
    backend: 'resinit',
    max_batch_size: 0,
    input: [
      { name: 'images', data_type: 'TYPE_UINT8', ...required },
      { name: 'image_bytes', data_type: 'TYPE_STRING', format: 'FORMAT_NONE', dims: [-1], optional: true },
    ],
    output: OUTPUTS.map((output) => ({ name: output, data_type: 'TYPE_FP32', dims: [-1, classes] })),
    dynamic_batching: {},
    parameters: { MAX_BATCH_SIZE: { string_value: String(maxBatchSize) } },
  }
}
