import Type from 'typebox'
import { outputOf } from '../../engine/contract.ts'
import { answer } from '../../common/schema.ts'
import { ServiceError } from '../../common/errors.ts'
import type { JobResult } from '../../serving/prediction/job.ts'
import type { PredictionAdmission } from '../shared/prediction-admission.ts'
import { readRawBody } from '../shared/raw-bodies.ts'
import type { Predict } from '../shared/prediction.ts'
import { optional } from '../shared/schema-parts.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { readInstances } from './instances.ts'
import { findModel, paths, tags } from './find-model.ts'
import { readPredictRequest, SIGNATURE, type PredictRequest } from './request.ts'

const OUTPUTS = ['logits', 'probabilities'] as const

const PredictRequestBody = answer('TensorFlowServingRequest', {
  signature_name: optional(Type.String({ description: `Defaults to ${SIGNATURE}` })),
  instances: optional(
    Type.Array(Type.Unknown(), {
      description: 'Row format: images as nested lists, {"b64"}, {"images"} or {"image_bytes": {"b64"}}',
    }),
  ),
  inputs: optional(
    Type.Unknown({ description: 'Column format: the same in one list, or in an object by input' }),
  ),
})

const Row = Type.Object({ logits: Type.Array(Type.Number()), probabilities: Type.Array(Type.Number()) })
const PredictResponse = answer('TensorFlowServingResponse', {
  predictions: optional(Type.Array(Row)),
  outputs: optional(
    Type.Object({
      logits: Type.Array(Type.Array(Type.Number())),
      probabilities: Type.Array(Type.Array(Type.Number())),
    }),
  ),
})

interface Context {
  readonly registry: Registry
  readonly predictionAdmission: PredictionAdmission
  readonly predict: Predict
  readonly decoder: ImageDecoder
  readonly config: Config
}

/** TensorFlow Serving's predict in row and column format. No signature supports classify and regress. */
export function registerPredictRoutes(app: App, context: Context): void {
  const { registry, predictionAdmission, predict, decoder, config } = context
  const { admit, delayClientErrors, findPermit } = predictionAdmission
  const content = {
    content: { 'application/json': { schema: PredictRequestBody }, '*/*': { schema: PredictRequestBody } },
  }
  for (const { path, subject, params } of paths('::predict')) {
    // The response is written as text, for NaN and infinite numbers, so this schema only documents it.
    const response: Readonly<Record<number, object>> = {
      200: { description: 'Outputs', content: { 'application/json': { schema: PredictResponse } } },
    }
    const summary = 'Predicts logits and probabilities of images'
    const schema = { operationId: `run${subject}Signature`, tags, summary, params, body: content, response }
    app.post(
      path,
      {
        config: { scope: 'predict', bodies: 'admitted' },
        onRequest: admit,
        errorHandler: delayClientErrors,
        schema,
      },
      async (request, reply) => {
        const started = performance.now()
        const permit = findPermit(request)
        const { model } = findModel(registry, request.params)
        const { specification, id } = model.record
        const parsed = await readPredictRequest(readRawBody(request))
        const images = await readInstances(parsed, { specification, config, decoder, permit })
        const job = { model: id, k: 1, vectors: OUTPUTS, alone: false, permit }
        const { result, costs, recordAnswer } = await predict(images, job, started)
        setServerTiming(reply, costs)
        const text = formatOutputs(parsed.layout, result, images.about.length)
        recordAnswer()
        return reply.type('application/json').send(Buffer.from(text))
      },
    )
  }
  for (const verb of ['classify', 'regress']) {
    for (const { path, params } of paths(`::${verb}`)) {
      const schema = { tags, summary: `Reports that no signature supports ${verb}`, params, hide: true }
      app.post(path, { config: { scope: 'predict' }, schema }, (request) => {
        findModel(registry, request.params)
        throw new ServiceError(
          'INVALID_REQUEST',
          `Expected ${verb} signature method_name to be tensorflow/serving/${verb}. Was: tensorflow/serving/predict; use :predict`,
        )
      })
    }
  }
}

/** Formats outputs as JSON, with NaN, Infinity and -Infinity as TensorFlow Serving writes them. */
function formatOutputs(layout: PredictRequest['layout'], result: JobResult, count: number): string {
  const formatRows = (name: (typeof OUTPUTS)[number]): string[] => {
    const values = outputOf(result, name)
    const width = values.length / count
    return Array.from(
      { length: count },
      (_, row) => `[${values.subarray(row * width, (row + 1) * width).join()}]`,
    )
  }
  const columns = OUTPUTS.map((name) => ({ name, rows: formatRows(name) }))
  if (layout === 'columns')
    return `{"outputs":{${columns.map(({ name, rows }) => `"${name}":[${rows.join()}]`).join()}}}`
  const predictions = Array.from(
    { length: count },
    (_, row) => `{${columns.map(({ name, rows }) => `"${name}":${String(rows[row])}`).join()}}`,
  )
  return `{"predictions":[${predictions.join()}]}`
}
