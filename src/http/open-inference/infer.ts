import type { FastifyReply, FastifyRequest } from 'fastify'
import { promisify } from 'node:util'
import { constants, deflate, gzip } from 'node:zlib'
import { ServiceError } from '../../common/errors.ts'
import { sizeOf } from '../../initializers/fans.ts'
import type { Specification } from '../../network/specification.ts'
import type { Permit } from '../../serving/prediction/permit.ts'
import { labelsOf } from '../../serving/models/labels.ts'
import { createPredictionAdmission } from '../shared/prediction-admission.ts'
import { bodyOf } from '../shared/raw-body.ts'
import { predictor } from '../shared/prediction.ts'
import { Bytes } from '../shared/schema-parts.ts'
import { InferRequest, InferResponse } from './schemas.ts'
import { setServerTiming } from '../shared/server-timing.ts'
import type { App, Services } from '../shared/services.ts'
import { readInputs } from './inputs.ts'
import { OUTPUTS } from './metadata.ts'
import { VERSION } from '../shared/versions.ts'
import { findModel, paths, tags } from './find-model.ts'
import { requestedOutputs, writeAnswer } from './outputs.ts'
import { countOf } from './parameters.ts'
import { headLength, readRequest, type InferenceRequest } from './request.ts'

const HEAD_LENGTH = 'inference-header-content-length'
const COMPRESSORS = { gzip: promisify(gzip), deflate: promisify(deflate) } as const

/** Inference: tensors or encoded images in, tensors or classes out, as JSON and as binary data. */
export function inferRoutes(app: App, services: Services): void {
  const { registry, config, decoder } = services
  const predict = predictor(services)
  const { admit, delayClientErrors: refuseInTurn, permitOf: placeOf } = createPredictionAdmission(services)
  const contents = <S>(schema: S) => ({
    content: {
      'application/json': { schema },
      'application/octet-stream': { schema: Bytes('The JSON, and tensors behind it') },
    },
  })
  for (const { path, subject, params } of paths('/infer')) {
    app.post(
      path,
      {
        onRequest: admit,
        errorHandler: refuseInTurn,
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
        const permit = placeOf(request)
        const { model, name } = findModel(registry, request.params)
        const { specification, id } = model.record
        const inference = await read(bodyOf(request), request.headers[HEAD_LENGTH], specification)
        releaseOnTimeout(inference, permit, reply)
        const requested = requestedOutputs(inference)
        const images = await readInputs(inference, { specification, config, decoder, permit: permit })
        const count = images.about.length
        const vectors = OUTPUTS.filter((output) => requested.some(({ name }) => name === output))
        const job = { model: id, k: 1, vectors, alone: false, permit: permit }
        const { result, costs, answered } = await predict(images, job, started)
        setServerTiming(reply, costs)
        const labels = labelsOf(specification)
        const answer = writeAnswer(inference, requested, result, { name, version: VERSION, count, labels })
        answered()
        if (answer.headLength !== undefined) void reply.header(HEAD_LENGTH, String(answer.headLength))
        void reply.type(answer.headLength === undefined ? 'application/json' : 'application/octet-stream')
        return reply.send(await compressed(answer.body, request, reply))
      },
    )
  }
}

/** Without JSON the whole body is one image of one request: pixels where it has their size, else an encoded one. */
async function read(
  body: Buffer,
  header: string | string[] | undefined,
  { architecture }: Specification,
): Promise<InferenceRequest> {
  const length = headLength(header, body.length)
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

/** `timeout`, in microseconds, ends a request sooner than REQUEST_TIMEOUT_MS does. */
function releaseOnTimeout({ parameters }: InferenceRequest, permit: Permit, reply: FastifyReply): void {
  const microseconds = countOf(parameters, 'timeout', '#/parameters') ?? 0
  // Longer ones than a timer takes are longer than any REQUEST_TIMEOUT_MS.
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

/** The answer as `Accept-Encoding` asks for it; no other answer of the protocol is ever compressed. */
async function compressed(body: Buffer, request: FastifyRequest, reply: FastifyReply): Promise<Buffer> {
  void reply.header('vary', 'accept-encoding')
  if (request.headers['accept-encoding'] === undefined) return body
  const encoding = request.encoding(['gzip', 'deflate', 'identity'])
  if (encoding !== 'gzip' && encoding !== 'deflate') return body
  void reply.header('content-encoding', encoding)
  return COMPRESSORS[encoding](body, { level: constants.Z_BEST_SPEED })
}
