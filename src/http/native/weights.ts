import { Readable } from 'node:stream'
import { fieldError, ServiceError } from '../../common/errors.ts'
import { kerasHdf5Header } from '../../formats/hdf5.ts'
import { npyHeader } from '../../formats/npy.ts'
import { safetensorsHeader } from '../../formats/safetensors.ts'
import { nameMatcher } from '../../network/globs.ts'
import { layoutProblem, tensorsIn, type FileTensor } from '../../network/layouts.ts'
import { planSpecification } from '../../network/plan.ts'
import { METADATA } from '../../serving/models/import-weights.ts'
import { streamedBytes, tensorStream, type StreamedTensor } from '../../serving/models/weights-stream.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { formatEtag, matchesEtag, parseRange } from '../shared/ranges.ts'
import { Content, HDF5, Nothing, NPY, SAFETENSORS } from '../shared/schema-parts.ts'
import { ModelReference, WeightsQuery } from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Analysis } from '../../analysis/contract.ts'
import type { Registry } from '../../serving/models/registry.ts'

/** Safetensors under either of its types, npy for one tensor, or HDF5 for Keras's load_weights. */
const TYPES = [SAFETENSORS, 'application/octet-stream', NPY, HDF5]

interface Context {
  readonly registry: Registry
  readonly analysis: Analysis
}

/** Streams the weights of a model as a file, with at most one tensor in memory. */
export function registerWeightsRoutes(app: App, { registry, analysis }: Context): void {
  app.get(
    '/v1/models/:model/weights',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getWeights',
        tags: ['models'],
        summary:
          'Downloads all weights as safetensors, under the names of this service or another framework, as HDF5 for Keras, or one tensor as npy; supports ETag and ranges',
        params: ModelReference,
        querystring: WeightsQuery,
        response: {
          200: Content('The weights', TYPES),
          206: Content('A range of the weights', TYPES),
          304: Nothing('Not modified'),
        },
      },
    },
    async (request, reply) => {
      const model = registry.find(request.params.model)
      // Rejects a model without valid weights.
      const source = await registry.openWeights(model)
      const glob = request.query.parameters
      const matches = glob === undefined ? () => true : nameMatcher(glob)
      const { id, specification } = model.record
      const plan = planSpecification(specification)
      const { names = 'resinit' } = request.query
      const problem = layoutProblem(names, plan)
      if (problem !== undefined) throw fieldError('#/names', problem)
      const tensors = tensorsIn(names, plan).filter(({ parameter }) => matches(parameter.name))
      if (tensors.length === 0)
        throw fieldError('#/parameters', `${JSON.stringify(glob)} matches no parameter`)
      const type = request.accepts().type(TYPES)
      if (typeof type !== 'string')
        throw new ServiceError('NOT_ACCEPTABLE', `available types are ${TYPES.join(', ')}`)
      if (type === HDF5 && names !== 'keras')
        throw fieldError('#/names', `must be keras for ${HDF5}, the format of Keras's load_weights`)
      const origin = { [METADATA.id]: id, [METADATA.weights]: await registry.readDigest(model) }
      const { header, content } = openWeightsFile(type, tensors, origin, JSON.stringify(specification))
      const length = content.reduce((sum, tensor) => sum + streamedBytes(tensor), header.length)
      const etag = formatEtag(id, header)
      void reply.headers({
        etag,
        vary: 'accept',
        'accept-ranges': 'bytes',
        'cache-control': 'private, max-age=0, must-revalidate',
      })
      if (matchesEtag(request.headers['if-none-match'], etag)) return reply.code(304).send()

      const range = parseRange(request.headers.range, request.headers['if-range'], etag, length)
      if (range === 'outside') {
        void reply.header('content-range', `bytes */${String(length)}`)
        throw new ServiceError('RANGE_NOT_SATISFIABLE', `the content has ${String(length)} bytes`)
      }
      const { start, end } = range ?? { start: 0, end: length }
      if (range)
        void reply
          .code(206)
          .header('content-range', `bytes ${String(start)}-${String(end - 1)}/${String(length)}`)
      void reply.header('content-length', String(end - start)).type(type)
      // HEAD does not sample the weights.
      if (request.method === 'HEAD') return reply.send(Readable.from([], { objectMode: false }))
      const read = await analysis.reader(source, { signal: abortOnClose(reply) })
      const readUnchanged: typeof read = (...part) => registry.withWeights(model, () => read(...part))
      async function* bytes(): AsyncGenerator<Buffer> {
        if (start < header.length) yield header.subarray(start, end)
        yield* tensorStream(content, readUnchanged, {
          start: start - header.length,
          end: end - header.length,
        })
      }
      return reply.send(Readable.from(bytes(), { objectMode: false }))
    },
  )
}

/** The header of a weights file, and the tensors that follow it. */
function openWeightsFile(
  type: string,
  tensors: readonly FileTensor[],
  origin: Readonly<Record<string, string>>,
  specification: string,
): { header: Buffer; content: StreamedTensor[] } {
  const streamed = ({ dtype, parameter: { name, shape }, axes }: FileTensor): StreamedTensor =>
    dtype === 'F32' ? { source: name, shape, axes } : { shape: [], axes }
  if (type === NPY) {
    const [tensor, ...more] = tensors.filter(({ dtype }) => dtype === 'F32')
    if (tensor === undefined || more.length > 0) {
      const count = String(more.length + 1)
      throw fieldError('#/parameters', `must match one tensor for ${NPY}; it matches ${count}`)
    }
    return { header: npyHeader(tensor.shape), content: [streamed(tensor)] }
  }
  const header =
    type === HDF5
      ? kerasHdf5Header(tensors, { backend: 'tensorflow', keras_version: '3', ...origin })
      : safetensorsHeader(tensors, { format: 'pt', [METADATA.specification]: specification, ...origin })
  return { header, content: tensors.map(streamed) }
}
