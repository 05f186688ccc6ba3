import type { FastifyReply, FastifyRequest } from 'fastify'
import { promisify } from 'node:util'
import { constants, deflate, gzip } from 'node:zlib'
import { ServiceError } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Specification } from '../../network/specification.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import { labelsOf } from '../../serving/models/labels.ts'
import type { PredictionAdmission } from '../shared/prediction-admission.ts'
import { readRawBody } from '../shared/raw-bodies.ts'
import type { Predict } from '../shared/prediction.ts'
import { Bytes } from '../shared/schema-parts.ts'
import { InferRequest, InferResponse } from './schemas.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { ImageDecoder } from '../../images/client/image-decoder.ts'
import type { Registry } from '../../serving/models/registry.ts'
import { readInputs } from './inputs.ts'
import { OUTPUTS } from './metadata.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, paths, tags } from './find-model.ts'
import { selectOutputs, writeAnswer } from './outputs.ts'
import { readCount } from './parameters.ts'
import { parseHeadLength, readRequest, type InferenceRequest } from './request.ts'

const HEAD_LENGTH = 'inference-header-content-length'
const COMPRESSORS = { gzip: promisify(gzip), deflate: promisify(deflate) } as const

interface Context {
  readonly registry: Registry
  readonly predictionAdmission: PredictionAdmission
  readonly predict: Predict
  readonly decoder: ImageDecoder
  readonly config: Config
}

/** Inference: tensors or encoded images in, tensors or classes out, as JSON or binary data. */
export function registerInferRoutes(app: App, context: Context): void {
  const { registry, predictionAdmission, predict, decoder, config } = context
  const { admit, delayClientErrors, findPermit } = predictionAdmission
  const contents = <S>(schema: S) => ({
    content: {
      'application/json': { schema },
      'application/octet-stream': { schema: Bytes('The JSON, followed by binary tensors') },
    },
  })
  for (const { path, subject, params } of paths('/infer')) {
    app.post(
      path,
      {
        onRequest: admit,
        errorHandler: delayClientErrors,
        config: { scope: 'predict', bodies: 'admitted' },
        schema: {
          operationId: `infer${subject}`,
          tags,
          summary: 'Infers probabilities and logits of images',
          params,
          body: contents(InferRequest),
          response: { 200: { description: 'Outputs', ...contents(InferResponse) } },
        },
      },
      async (request, reply) => {
        const started = performance.now()
        const permit = findPermit(request)
        const { model, name } = findModel(registry, request.params)
        const { specification, id } = model.record
        const inference = await read(readRawBody(request), request.headers[HEAD_LENGTH], specification)
        releaseOnTimeout(inference, permit, reply)
        const requested = selectOutputs(inference)
        const images = await readInputs(inference, { specification, config, decoder, permit })
        const count = images.about.length
        const vectors = OUTPUTS.filter((output) => requested.some(({ name }) => name === output))
        const job = { model: id, k: 1, vectors, alone: false, permit }
        const { result, costs, recordAnswer } = await predict(images, job, started)
        setServerTiming(reply, costs)
        const labels = labelsOf(specification)
        const answer = writeAnswer(inference, requested, result, { name, version: VERSION, count, labels })
        recordAnswer()
        if (answer.headLength !== undefined) void reply.header(HEAD_LENGTH, String(answer.headLength))
        void reply.type(answer.headLength === undefined ? 'application/json' : 'application/octet-stream')
        return reply.send(await compress(answer.body, request, reply))
      },
    )
  }
}

/** Reads a request. A body without JSON is one image: raw pixels if it has their size, otherwise an encoded image. */
async function read(
  body: Buffer,
  header: string | string[] | undefined,
  { architecture }: Specification,
): Promise<InferenceRequest> {
  const length = parseHeadLength(header, body.length)
  if (length > 0 || header === undefined) return readRequest(body.subarray(0, length), body.subarray(length))
  const raw = { parameters: {}, id: undefined, outputs: undefined, binary: true }
  const shape = architecture.input_shape
  if (body.length === sizeOf(shape)) {
    const pixels = { name: 'images', datatype: 'UINT8', shape: [1, ...shape], data: { bytes: body } }
    return { ...raw, inputs: [{ pointer: '#', ...pixels }] }
  }
  const json = [body.toString('base64')]
  return {
    ...raw,
    inputs: [{ pointer: '#', name: 'image_bytes', datatype: 'BYTES', shape: [1], data: { json } }],
  }
}

/** The parameter `timeout`, in microseconds, can shorten REQUEST_TIMEOUT_MS. */
function releaseOnTimeout({ parameters }: InferenceRequest, permit: Permit, reply: FastifyReply): void {
  const microseconds = readCount(parameters, 'timeout', '#/parameters') ?? 0
  // A value beyond the range of a timer exceeds any REQUEST_TIMEOUT_MS.
  if (microseconds === 0 || microseconds / 1000 >= 2 ** 31) return
  const timer = setTimeout(() => {
    permit.release(
      new ServiceError('DEADLINE_EXCEEDED', 'Request timeout expired; send a longer timeout, or none'),
    )
  }, microseconds / 1000)
  reply.raw.once('close', () => {
    clearTimeout(timer)
  })
}

/** Compresses a response by `Accept-Encoding`. The protocol compresses inference responses only. */
async function compress(body: Buffer, request: FastifyRequest, reply: FastifyReply): Promise<Buffer> {
  void reply.header('vary', 'accept-encoding')
  if (request.headers['accept-encoding'] === undefined) return body
  const encoding = request.encoding(['gzip', 'deflate', 'identity'])
  if (encoding !== 'gzip' && encoding !== 'deflate') return body
  void reply.header('content-encoding', encoding)
  return COMPRESSORS[encoding](body, { level: constants.Z_BEST_SPEED })
}
