import type { FastifyPluginCallbackTypebox } from '@fastify/type-provider-typebox'
import type { Static } from 'typebox'
import { fieldError, ServiceError } from '../../errors.ts'
import { decodeImage, type DecodedImage, type Fit } from '../../images/decode.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { JobResult } from '../../serving/batcher.ts'
import { labelsOf } from '../../serving/labels.ts'
import type { Model } from '../../serving/model.ts'
import { listOf } from '../paging.ts'
import { Bytes, problems } from '../schemas/common.ts'
import { ModelReference } from '../schemas/models.ts'
import { PredictBody, PredictQuery, Predictions } from '../schemas/predictions.ts'
import type { Services } from '../services.ts'
import { readUpload, type Upload } from './uploads.ts'

const VECTORS = ['logits', 'probabilities', 'features'] as const
type Answer = Static<typeof Predictions>

interface Images {
  readonly values: Uint8Array | Float32Array
  readonly about: Answer['predictions'][number]['image'][]
}

/** Predictions from uploaded images. */
export function predictRoutes({ registry, batcher, config }: Services): FastifyPluginCallbackTypebox {
  const encoded = Bytes('One encoded image')
  return (app, _options, done) => {
    app.post(
      '/v1/models/:model/predict',
      {
        schema: {
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
              'application/x-npy': { schema: Bytes('uint8 or float32 [n, height, width, channels]') },
              'multipart/form-data': { schema: Bytes('Any number of file parts') },
            },
          },
          response: { 200: Predictions, ...problems },
        },
      },
      async (request, reply) => {
        const started = performance.now()
        const model = registry.find(request.params.model)
        const { top_k = 5, fit = 'cover', batch = true } = request.query
        const include = listOf(request.query.include, VECTORS, '#/include')
        const { values, about } = await imagesOf(
          await readUpload(request, config),
          model,
          fit,
          config.MAX_IMAGE_PIXELS,
        )
        const decoded = performance.now()

        const deadline = AbortSignal.timeout(config.REQUEST_TIMEOUT_MS)
        const hungUp = new AbortController()
        reply.raw.once('close', () => {
          hungUp.abort(new ServiceError('MALFORMED_REQUEST', 'the client hung up'))
        })
        const result = await withDeadline(
          deadline,
          batcher.submit({
            model: model.record.id,
            count: about.length,
            values,
            k: Math.min(top_k, model.record.specification.classes),
            features: include.has('features'),
            alone: !batch,
            signal: AbortSignal.any([deadline, hungUp.signal]),
          }),
        )
        const total = performance.now() - started
        const timing = { decode: decoded - started, queue: result.queueMs, compute: result.computeMs, total }
        const milliseconds = (name: 'decode' | 'queue' | 'compute'): string =>
          `${name};dur=${timing[name].toFixed(2)}`
        void reply.header(
          'server-timing',
          [milliseconds('decode'), milliseconds('queue'), milliseconds('compute')].join(', '),
        )
        return {
          model: model.record.id,
          weights: model.record.weights,
          predictions: about.map((image, row) =>
            predictionOf(row, about.length, image, { model, result, include }),
          ),
          timing_ms: timing,
          batch_size: result.batchSize,
        }
      },
    )
    done()
  }
}

async function imagesOf(upload: Upload, { record }: Model, fit: Fit, maxPixels: number): Promise<Images> {
  const shape = record.specification.architecture.input_shape
  const [height = 0, width = 0] = shape
  const size = sizeOf(shape)
  if (upload.kind === 'array') {
    const { shape: given, values } = upload.array
    const [count = 0, ...image] = given.length === shape.length ? [1, ...given] : given
    if (count < 1 || image.join() !== shape.join()) {
      throw fieldError(
        '#',
        `must have shape [n, ${shape.join(', ')}], got [${given.join(', ')}]`,
        'INVALID_IMAGE',
      )
    }
    const format = values instanceof Uint8Array ? 'npy uint8' : 'npy float32'
    return { values, about: Array.from({ length: count }, () => ({ width, height, format })) }
  }
  const decoded = await Promise.all(
    upload.images.map(({ bytes, pointer }) => decodeImage(bytes, pointer, { shape, fit, maxPixels })),
  )
  const [first] = decoded
  const about = decoded.map(({ width: w, height: h, format }) => ({ width: w, height: h, format }))
  return { values: first && decoded.length === 1 ? first.pixels : joined(decoded, size), about }
}

function joined(images: readonly DecodedImage[], size: number): Uint8Array {
  const pixels = new Uint8Array(images.length * size)
  images.forEach((image, index) => {
    pixels.set(image.pixels, index * size)
  })
  return pixels
}

interface RowContext {
  readonly model: Model
  readonly result: JobResult
  readonly include: ReadonlySet<(typeof VECTORS)[number]>
}

/** One image's rows of a result. */
function predictionOf(
  row: number,
  count: number,
  image: Answer['predictions'][number]['image'],
  { model, result, include }: RowContext,
): Answer['predictions'][number] {
  const rowOf = <A extends Float32Array | Int32Array>(all: A): A => {
    const width = all.length / count
    return all.subarray(row * width, (row + 1) * width) as A
  }
  const labels = labelsOf(model.record.specification)
  const probabilities = rowOf(result.probabilities)
  const logits = rowOf(result.logits)
  const topLogits = rowOf(result.topLogits)
  const classes = [...rowOf(result.topClasses)].map((index, rank) => ({
    index,
    label: labels?.[index] ?? null,
    probability: probabilities[index] ?? Number.NaN,
    logit: topLogits[rank] ?? Number.NaN,
  }))
  return {
    classes,
    entropy: result.entropy[row] ?? Number.NaN,
    finite: logits.every(Number.isFinite),
    image,
    ...(include.has('logits') ? { logits: [...logits] } : {}),
    ...(include.has('probabilities') ? { probabilities: [...probabilities] } : {}),
    ...(include.has('features') && result.features ? { features: [...rowOf(result.features)] } : {}),
  }
}

/** The job's own signal drops it from the queue; this answers also while it is being computed. */
async function withDeadline<R>(deadline: AbortSignal, result: Promise<R>): Promise<R> {
  const late = new ServiceError(
    'DEADLINE_EXCEEDED',
    'the prediction took longer than REQUEST_TIMEOUT_MS; try again, or raise it',
  )
  let expire: (() => void) | undefined
  const expired = new Promise<never>((_, reject) => {
    expire = () => {
      reject(late)
    }
    deadline.addEventListener('abort', expire)
  })
  try {
    return await Promise.race([result, expired])
  } finally {
    result.catch(() => undefined)
    if (expire) deadline.removeEventListener('abort', expire)
  }
}
