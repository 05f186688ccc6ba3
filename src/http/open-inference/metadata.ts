import type { Static } from 'typebox'
import type { Specification } from '../../network/specification.ts'
import { VERSION as SERVICE_VERSION } from '../../common/version.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, listNamedModels, paths, tags } from './find-model.ts'
import { viewRepositoryState } from './repository.ts'
import { ModelConfig, ModelMetadata, ModelNames, ModelReady, ServerMetadata } from './schemas.ts'
import { ServiceError } from '../../common/errors.ts'

/** Names of optional outputs of the engine. */
export const OUTPUTS = ['probabilities', 'logits'] as const

const PLATFORM = 'tensorflow_savedmodel'
const EXTENSIONS = [
  'binary_tensor_data',
  'classification',
  'model_repository',
  'model_configuration',
  'statistics',
]

interface Context {
  readonly registry: Registry
  readonly config: Pick<Config, 'MAX_BATCH_SIZE'>
}

/** Metadata of the server, and inputs, outputs and configuration of its models. */
export function registerMetadataRoutes(app: App, { registry, config }: Context): void {
  const server = { name: 'resinit', version: SERVICE_VERSION, extensions: EXTENSIONS }
  const schema = {
    operationId: 'getServerMetadata',
    tags,
    summary: 'Gets the name, version and extensions of the server',
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
        summary: 'Lists the names of all models',
        response: { 200: ModelNames },
      },
    },
    () => ({
      models: listNamedModels(registry).map(({ name }) => name),
    }),
  )
  for (const { path, subject, params } of paths('')) {
    const schema = {
      operationId: `get${subject}Metadata`,
      tags,
      summary: 'Gets the inputs and outputs of a model',
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
      summary: 'Gets the configuration of a model',
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
      summary: 'Checks that a model is loaded',
      params,
      response: { 200: ModelReady },
    }
    app.get(path, { config: { scope: 'read' }, schema }, (request) => {
      const { model, name } = findModel(registry, request.params)
      const { state, reason } = viewRepositoryState(model)
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
 * Describes a model in Triton's format. Shapes include the batch dimension, so `max_batch_size` is 0: by Triton's rule any
 * other value removes the batch from every shape, and perf_analyzer would find `image_bytes` without a shape.
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
