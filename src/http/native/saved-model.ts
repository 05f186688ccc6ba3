import Type from 'typebox'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { TAR_END, tarHeader, tarPadding } from '../../formats/tar.ts'
import type { Specification } from '../../network/specification.ts'
import { VERSION as SERVICE_VERSION } from '../../common/version.ts'
import { hangUp } from '../shared/client-abort.ts'
import { VERSION } from '../shared/versions.ts'
import { formatEtag, knows } from '../shared/ranges.ts'
import { Content, Nothing, optional } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import type { App, Services } from '../shared/services.ts'

const TAR = 'application/x-tar'

const Query = Type.Object({
  config: optional(
    Type.Enum(['triton'], {
      description:
        "Lays the model out as Triton's repository has it, with a config.pbtxt; otherwise as TensorFlow Serving's",
    }),
  ),
})

interface ArchiveFile {
  readonly name: string
  readonly size: number
  readonly content: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** A model as a SavedModel in a tar, for TensorFlow Serving, Triton, KServe and `tf.saved_model.load`; streamed. */
export function savedModelRoutes(
  app: App,
  { registry, analysis, store, config: { MAX_BATCH_SIZE } }: Services,
): void {
  app.get(
    '/v1/models/:model/savedmodel',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSavedModel',
        tags: ['models'],
        summary:
          'The model as a SavedModel, in a tar; weights of initialized models are drawn by its own init op',
        params: ModelReference,
        querystring: Query,
        response: { 200: Content('The archive', [TAR]), 304: Nothing('The client has it') },
      },
    },
    async (request, reply) => {
      const model = registry.find(request.params.model)
      const { id, specification } = model.record
      // What is refused is refused before anything else is said of it.
      await registry.weightsOf(model)
      const { config } = request.query
      const names = registry.namesOf(id)
      const name = names.includes(request.params.model)
        ? request.params.model
        : (names[0] ?? id.slice(0, SHORT_ID))
      const etag = formatEtag([id, name, config ?? '', SERVICE_VERSION, String(MAX_BATCH_SIZE)].join('\n'))
      const caching = { etag, 'cache-control': 'private, max-age=0, must-revalidate' }
      if (knows(request.headers['if-none-match'], etag)) return reply.headers(caching).code(304).send()
      const head = {
        ...caching,
        'content-type': TAR,
        'content-disposition': `attachment; filename="${name}.tar"`,
      }
      // Without its length, which is known only when all of it is written.
      if (request.method === 'HEAD') return reply.headers(head).send(Readable.from([], { objectMode: false }))

      const signal = hangUp(reply)
      const variables = await store.stageFolder()
      try {
        const folder = `${name}/${VERSION}${config === 'triton' ? '/model.savedmodel' : ''}`
        const graph = openArchive(
          `${folder}/saved_model.pb`,
          await registry.withWeights(model, (source) =>
            analysis.savedModel(source, variables.path, { signal }),
          ),
        )
        const files = [graph, ...(await filesIn(variables.path, `${folder}/variables`))]
        if (config === 'triton')
          files.unshift(
            openArchive(
              `${name}/config.pbtxt`,
              Buffer.from(tritonConfig(name, specification, MAX_BATCH_SIZE)),
            ),
          )
        signal.throwIfAborted()
        const length = files.reduce((sum, file) => sum + archived(file), TAR_END.length)
        const stream = Readable.from(archive(files), { objectMode: false })
        signal.addEventListener('abort', () => stream.destroy())
        void reply.headers({ ...head, 'content-length': String(length) }).send(stream)
        await finished(stream).catch(() => undefined)
      } finally {
        await variables.discard()
      }
      return reply
    },
  )
}

/** Of an id, where a model has no name. */
const SHORT_ID = 12

async function filesIn(folder: string, archiveFolder: string): Promise<ArchiveFile[]> {
  const names = (await readdir(folder)).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name)
      const { size } = await stat(path)
      return { name: `${archiveFolder}/${name}`, size, content: () => createReadStream(path) }
    }),
  )
}

function openArchive(name: string, bytes: Uint8Array): ArchiveFile {
  return { name, size: bytes.length, content: () => [bytes] }
}

async function* archive(files: readonly ArchiveFile[]): AsyncGenerator<Uint8Array> {
  for (const { name, size, content } of files) {
    yield tarHeader(name, size)
    yield* content()
    yield tarPadding(size)
  }
  yield TAR_END
}

function archived({ name, size }: ArchiveFile): number {
  return tarHeader(name, size).length + size + tarPadding(size).length
}

/** Triton's model configuration for its TensorFlow backend (`model_config.proto`, as text). */
function tritonConfig(name: string, { architecture, classes }: Specification, maxBatchSize: number): string {
  const output = (of: string): string =>
    `  { name: "${of}" data_type: TYPE_FP32 dims: [ ${String(classes)} ] }`
  return `name: "${name}"
platform: "tensorflow_savedmodel"
max_batch_size: ${String(maxBatchSize)}
input [
  { name: "images" data_type: TYPE_FP32 dims: [ ${architecture.input_shape.join(', ')} ] }
]
output [
${['logits', 'probabilities'].map(output).join(',\n')}
]
dynamic_batching { }
`
}
