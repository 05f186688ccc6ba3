import Type, { type Static } from 'typebox'
import type { Config } from '../../config.ts'
import { OPTIONAL_OUTPUTS, outputOf, type OptionalOutput } from '../../engine/contract.ts'
import { fieldError } from '../../common/errors.ts'
import type { JobResult } from '../../serving/prediction/job.ts'
import { labelsOf } from '../../serving/models/labels.ts'
import type { Model } from '../../serving/models/model.ts'
import { createPredictionAdmission } from '../shared/prediction-admission.ts'
import { imagesAs, readImages, type Images, type ImagesContext } from '../shared/encoded-images.ts'
import { predictor } from '../shared/prediction.ts'
import { parseList } from '../shared/query.ts'
import { Bytes, NPY } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import { PredictBody, PredictQuery, Predictions } from '../shared/prediction-schemas.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App, Services } from '../shared/services.ts'
import { assertCount, readUpload, type Upload } from '../shared/uploads.ts'

type Answer = Static<typeof Predictions>

/** Predictions from uploaded images. */
export function predictRoutes(app: App, services: Services): void {
  const { config, decoder } = services
  const predict = predictor(services)
  const {
    admit,
    delayClientErrors: refuseInTurn,
    permitOf: placeOf,
    modelOf,
  } = createPredictionAdmission(services)
  const encoded = Bytes('One encoded image')
  app.post(
    '/v1/models/:model/predict',
    {
      onRequest: admit,
      errorHandler: refuseInTurn,
      config: { scope: 'predict', bodies: 'admitted' },
      schema: {
        operationId: 'predict',
        tags: ['prediction'],
        summary: 'Top classes of one or more images',
        params: ModelReference,
        querystring: PredictQuery,
        body: {
          content: {
            'application/json': { schema: PredictBody },
            'image/jpeg': { schema: encoded },
            'image/png': { schema: encoded },
            'image/webp': { schema: encoded },
            [NPY]: { schema: Bytes('uint8 or float32 [n, height, width, channels]') },
            'multipart/form-data': {
              schema: Type.Object(
                { images: Type.Array(Bytes()) },
                { description: 'Any number of file parts, by any name' },
              ),
            },
          },
        },
        response: { 200: Predictions },
      },
    },
    async (request, reply) => {
      const started = performance.now()
      const permit = placeOf(request)
      const model = modelOf(request)
      const { top_k = 5, fit = 'cover', batch = true } = request.query
      const vectors = [...parseList(request.query.include, OPTIONAL_OUTPUTS, '#/include')]
      const upload = await readUpload(request, config)
      const shape = model.record.specification.architecture.input_shape
      const images = await readImagesOrArray(upload, { shape, fit, config, decoder, permit: permit })
      const job = {
        model: model.record.id,
        k: Math.min(top_k, model.record.specification.classes),
        vectors,
        alone: !batch,
        permit: permit,
      }
      const { result, costs, answered } = await predict(images, job, started)
      const { values, about } = images
      setServerTiming(reply, costs)
      const predictions = about.map((image, row) =>
        formatPrediction(row, about.length, image, { model, values, result, vectors }),
      )
      return {
        model: model.record.id,
        weights: model.record.weights,
        predictions,
        timing_ms: { decode: costs.decode, queue: costs.queue, compute: costs.compute, total: answered() },
        batch_size: result.batchSize,
      }
    },
  )
}

/** The images of an upload. QUEUE_FULL before they are decoded where there is no room for them. */
async function readImagesOrArray(
  upload: Upload,
  context: ImagesContext & { readonly config: Pick<Config, 'MAX_QUEUE'> },
): Promise<Images> {
  if (upload.kind === 'images') return readImages(upload.images, context)
  const { shape, config, permit: permit } = context
  const { shape: given, values } = upload.array
  const [count = 0, ...image] = given.length === shape.length ? [1, ...given] : given
  if (count < 1 || image.join() !== shape.join()) {
    throw fieldError(
      '#',
      `must have shape [n, ${shape.join(', ')}], got [${given.join(', ')}]`,
      'INVALID_IMAGE',
    )
  }
  assertCount(count, '#', config.MAX_QUEUE)
  permit.reserve(count, values.byteLength)
  return imagesAs(values instanceof Uint8Array ? 'npy uint8' : 'npy float32', values, [count, ...shape])
}

interface RowContext {
  readonly model: Model
  readonly values: Images['values']
  readonly result: JobResult
  readonly vectors: readonly OptionalOutput[]
}

/** One image's rows of a result. */
function formatPrediction(
  row: number,
  count: number,
  image: Answer['predictions'][number]['image'],
  { model, values, result, vectors }: RowContext,
): Answer['predictions'][number] {
  const rowOf = <A extends Float32Array | Int32Array>(all: A): A => {
    const width = all.length / count
    return all.subarray(row * width, (row + 1) * width) as A
  }
  const labels = labelsOf(model.record.specification)
  const probabilities = rowOf(result.topProbabilities)
  const logits = rowOf(result.topLogits)
  const classes = [...rowOf(result.topClasses)].map((index, rank) => ({
    index,
    label: labels?.[index] ?? null,
    probability: probabilities[rank] ?? Number.NaN,
    logit: logits[rank] ?? Number.NaN,
  }))
  const prediction = {
    classes,
    entropy: result.entropy[row] ?? Number.NaN,
    // What goes in counts too: a ReLU takes NaN for 0 on some processors.
    finite: result.finite[row] === 1 && (!(values instanceof Float32Array) || allFinite(rowOf(values))),
    image,
  }
  if (vectors.length === 0) return prediction
  return {
    ...prediction,
    ...Object.fromEntries(vectors.map((vector) => [vector, [...rowOf(outputOf(result, vector))]])),
  }
}

/** Twice as fast as `every`, which asks a function of each. */
function allFinite(values: Float32Array): boolean {
  for (const value of values) if (!Number.isFinite(value)) return false
  return true
}
