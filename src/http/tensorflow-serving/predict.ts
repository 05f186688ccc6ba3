import Type from 'typebox'
import { outputOf } from '../../engine/contract.ts'
import { answer } from '../../common/schema.ts'
import { ServiceError } from '../../common/errors.ts'
import type { JobResult } from '../../serving/prediction/job.ts'
import { createPredictionAdmission } from '../shared/prediction-admission.ts'
import { bodyOf } from '../shared/raw-body.ts'
import { predictor } from '../shared/prediction.ts'
import { optional } from '../shared/schema-parts.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App, Services } from '../shared/services.ts'
import { readInstances } from './instances.ts'
import { findModel, paths, tags } from './find-model.ts'
import { readPredictRequest, SIGNATURE, type PredictRequest } from './request.ts'

const OUTPUTS = ['logits', 'probabilities'] as const

const PredictRequestBody = answer('TensorFlowServingRequest', {
  signature_name: optional(Type.String({ description: `${SIGNATURE}, unless said` })),
  instances: optional(
    Type.Array(Type.Unknown(), {
      description: 'By row: images as nested lists, {"b64"}, {"images"} or {"image_bytes": {"b64"}}',
    }),
  ),
  inputs: optional(
    Type.Unknown({ description: 'By column: the same in one list, or in an object by input' }),
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

/** TensorFlow Serving's predict by row and by column; classify and regress say that no signature offers them. */
export function predictRoutes(app: App, services: Services): void {
  const { registry, config, decoder } = services
  const predict = predictor(services)
  const { admit, delayClientErrors: refuseInTurn, permitOf: placeOf } = createPredictionAdmission(services)
  const content = {
    content: { 'application/json': { schema: PredictRequestBody }, '*/*': { schema: PredictRequestBody } },
  }
  for (const { path, subject, params } of paths('::predict')) {
    // Written as text, for numbers that JSON does not have; so its type is the document's business only.
    const response: Readonly<Record<number, object>> = {
      200: { description: 'Outputs', content: { 'application/json': { schema: PredictResponse } } },
    }
    const summary = 'Logits and probabilities of images'
    const schema = { operationId: `run${subject}Signature`, tags, summary, params, body: content, response }
    app.post(
      path,
      {
        config: { scope: 'predict', bodies: 'admitted' },
        onRequest: admit,
        errorHandler: refuseInTurn,
        schema,
      },
      async (request, reply) => {
        const started = performance.now()
        const permit = placeOf(request)
        const { model } = findModel(registry, request.params)
        const { specification, id } = model.record
        const asked = await readPredictRequest(bodyOf(request))
        const images = await readInstances(asked, { specification, config, decoder, permit: permit })
        const job = { model: id, k: 1, vectors: OUTPUTS, alone: false, permit: permit }
        const { result, costs, answered } = await predict(images, job, started)
        setServerTiming(reply, costs)
        const text = formatOutputs(asked.layout, result, images.about.length)
        answered()
        return reply.type('application/json').send(Buffer.from(text))
      },
    )
  }
  for (const verb of ['classify', 'regress']) {
    for (const { path, params } of paths(`::${verb}`)) {
      const schema = { tags, summary: `No signature is one to ${verb}`, params, hide: true }
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

/** Numbers that JSON does not have are written as TensorFlow Serving writes them: NaN, Infinity, -Infinity. */
function formatOutputs(layout: PredictRequest['layout'], result: JobResult, count: number): string {
  const rowsOf = (name: (typeof OUTPUTS)[number]): string[] => {
    const values = outputOf(result, name)
    const width = values.length / count
    return Array.from(
      { length: count },
      (_, row) => `[${values.subarray(row * width, (row + 1) * width).join()}]`,
    )
  }
  const columns = OUTPUTS.map((name) => ({ name, rows: rowsOf(name) }))
  if (layout === 'columns')
    return `{"outputs":{${columns.map(({ name, rows }) => `"${name}":[${rows.join()}]`).join()}}}`
  const predictions = Array.from(
    { length: count },
    (_, row) => `{${columns.map(({ name, rows }) => `"${name}":${String(rows[row])}`).join()}}`,
  )
  return `{"predictions":[${predictions.join()}]}`
}
