import Type, { type Static } from 'typebox'
import type { Config } from '../../config.ts'
import { OPTIONAL_OUTPUTS, outputOf, type OptionalOutput } from '../../engine/contract.ts'
import { fieldError } from '../../common/errors.ts'
import type { JobResult } from '../../serving/prediction/job.ts'
import { selectLabels } from '../../serving/models/labels.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { PredictionAdmission } from '../shared/prediction-admission.ts'
import { readImages, wrapPixels, type Images, type ImagesContext } from '../shared/encoded-images.ts'
import type { Predict } from '../shared/prediction.ts'
import { parseList } from '../shared/query.ts'
import { Bytes, NPY } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import { PredictBody, PredictQuery, Predictions } from '../shared/prediction-schemas.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App } from '../shared/app-instance.ts'
import { assertCount, readUpload, type Upload } from '../shared/uploads.ts'

type Answer = Static<typeof Predictions>

interface Context {
  readonly predictionAdmission: PredictionAdmission
  readonly predict: Predict
  readonly decoder: ImageDecoder
  readonly config: Config
}

/** Predictions for uploaded images. */
export function registerPredictRoutes(
  app: App,
  { predictionAdmission, predict, decoder, config }: Context,
): void {
  const { admit, delayClientErrors, findPermit, findModel } = predictionAdmission
  const encoded = Bytes('One encoded image')
  app.post(
    '/v1/models/:model/predict',
    {
      onRequest: admit,
      errorHandler: delayClientErrors,
      config: { scope: 'predict', bodies: 'admitted' },
      schema: {
        operationId: 'predict',
        tags: ['prediction'],
        summary: 'Predicts the top classes of one or more images',
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
                { description: 'Any number of file parts under any name' },
              ),
            },
          },
        },
        response: { 200: Predictions },
      },
    },
    async (request, reply) => {
      const started = performance.now()
      const permit = findPermit(request)
      const model = findModel(request)
      const { top_k = 5, fit = 'cover', batch = true } = request.query
      const vectors = [...parseList(request.query.include, OPTIONAL_OUTPUTS, '#/include')]
      const upload = await readUpload(request, config)
      const { specification } = model.record
      const labels = selectLabels(specification, request.query.labels)
      const { architecture, preprocessing } = specification
      const context = { shape: architecture.input_shape, fit, resize: preprocessing.resize }
      const images = await readImagesOrArray(upload, { ...context, config, decoder, permit })
      const job = {
        model: model.record.id,
        k: Math.min(top_k, specification.classes),
        vectors,
        alone: !batch,
        permit,
      }
      const { result, costs, recordAnswer } = await predict(images, job, started)
      const { values, about } = images
      setServerTiming(reply, costs)
      const predictions = about.map((image, row) =>
        formatPrediction(row, about.length, image, { labels, values, result, vectors }),
      )
      return {
        model: model.record.id,
        weights: model.record.weights,
        predictions,
        timing_ms: {
          decode: costs.decode,
          queue: costs.queue,
          compute: costs.compute,
          total: recordAnswer(),
        },
        batch_size: result.batchSize,
      }
    },
  )
}

/** Reads the images of an upload. QUEUE_FULL before decoding if memory runs out. */
async function readImagesOrArray(
  upload: Upload,
  context: ImagesContext & { readonly config: Pick<Config, 'MAX_QUEUE'> },
): Promise<Images> {
  if (upload.kind === 'images') return readImages(upload.images, context)
  const { shape, config, permit } = context
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
  return wrapPixels(values instanceof Uint8Array ? 'npy uint8' : 'npy float32', values, [count, ...shape])
}

interface RowContext {
  readonly labels: readonly string[] | undefined
  readonly values: Images['values']
  readonly result: JobResult
  readonly vectors: readonly OptionalOutput[]
}

/** Formats the result of one image. */
function formatPrediction(
  row: number,
  count: number,
  image: Answer['predictions'][number]['image'],
  { labels, values, result, vectors }: RowContext,
): Answer['predictions'][number] {
  const sliceRow = <A extends Float32Array | Int32Array>(all: A): A => {
    const width = all.length / count
    return all.subarray(row * width, (row + 1) * width) as A
  }
  const probabilities = sliceRow(result.topProbabilities)
  const logits = sliceRow(result.topLogits)
  const classes = [...sliceRow(result.topClasses)].map((index, rank) => ({
    index,
    label: labels?.[index] ?? null,
    probability: probabilities[rank] ?? Number.NaN,
    logit: logits[rank] ?? Number.NaN,
  }))
  const prediction = {
    classes,
    entropy: result.entropy[row] ?? Number.NaN,
    // The input counts too: on some processors a ReLU maps NaN to 0.
    finite: result.finite[row] === 1 && (!(values instanceof Float32Array) || areFinite(sliceRow(values))),
    image,
  }
  if (vectors.length === 0) return prediction
  return {
    ...prediction,
    ...Object.fromEntries(vectors.map((vector) => [vector, [...sliceRow(outputOf(result, vector))]])),
  }
}

/** Twice as fast as `every`, which calls a function for each value. */
function areFinite(values: Float32Array): boolean {
  for (const value of values) if (!Number.isFinite(value)) return false
  return true
}
