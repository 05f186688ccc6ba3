import Type from 'typebox'
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { TAR_END, tarHeader, tarPadding } from '../../formats/tar.ts'
import type { Specification } from '../../network/specification.ts'
import { VERSION as SERVICE_VERSION } from '../../common/version.ts'
import { abortOnClose } from '../shared/client-abort.ts'
import { VERSION } from '../shared/versions.ts'
import { formatEtag, matchesEtag } from '../shared/ranges.ts'
import { Content, Nothing, optional } from '../shared/schema-parts.ts'
import { ModelReference } from '../shared/model-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Analysis } from '../../analysis/contract.ts'
import type { Config } from '../../config.ts'
import type { Registry } from '../../serving/models/registry.ts'
import type { Store } from '../../serving/models/store.ts'

const TAR = 'application/x-tar'

const Query = Type.Object({
  config: optional(
    Type.Enum(['triton'], {
      description:
        "Layout of Triton's model repository, with a config.pbtxt; by default TensorFlow Serving's layout",
    }),
  ),
})

interface ArchiveFile {
  readonly name: string
  readonly size: number
  readonly content: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

interface Context {
  readonly registry: Registry
  readonly analysis: Analysis
  readonly store: Store
  readonly config: Pick<Config, 'MAX_BATCH_SIZE'>
}

/** Streams a model as a SavedModel in a tar, for TensorFlow Serving, Triton, KServe and `tf.saved_model.load`. */
export function registerSavedModelRoutes(
  app: App,
  { registry, analysis, store, config: { MAX_BATCH_SIZE } }: Context,
): void {
  app.get(
    '/v1/models/:model/savedmodel',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSavedModel',
        tags: ['models'],
        summary:
          'Exports a model as a SavedModel in a tar; the init op of an initialized model samples its weights',
        params: ModelReference,
        querystring: Query,
        response: { 200: Content('The archive', [TAR]), 304: Nothing('Not modified') },
      },
    },
    async (request, reply) => {
      const model = registry.find(request.params.model)
      const { id, specification } = model.record
      // Rejects a model without valid weights.
      await registry.openWeights(model)
      const { config } = request.query
      const names = registry.listNames(id)
      const name = names.includes(request.params.model)
        ? request.params.model
        : (names[0] ?? id.slice(0, SHORT_ID))
      const etag = formatEtag([id, name, config ?? '', SERVICE_VERSION, String(MAX_BATCH_SIZE)].join('\n'))
      const caching = { etag, 'cache-control': 'private, max-age=0, must-revalidate' }
      if (matchesEtag(request.headers['if-none-match'], etag)) return reply.headers(caching).code(304).send()
      const head = {
        ...caching,
        'content-type': TAR,
        'content-disposition': `attachment; filename="${name}.tar"`,
      }
      // HEAD omits the length, which is known only after the export.
      if (request.method === 'HEAD') return reply.headers(head).send(Readable.from([], { objectMode: false }))

      const signal = abortOnClose(reply)
      const variables = await store.stageFolder()
      try {
        const folder = `${name}/${VERSION}${config === 'triton' ? '/model.savedmodel' : ''}`
        const graph = createFile(
          `${folder}/saved_model.pb`,
          await registry.withWeights(model, (source) =>
            analysis.savedModel(source, variables.path, { signal }),
          ),
        )
        const files = [graph, ...(await listFiles(variables.path, `${folder}/variables`))]
        if (config === 'triton')
          files.unshift(
            createFile(
              `${name}/config.pbtxt`,
              Buffer.from(writeTritonConfig(name, specification, MAX_BATCH_SIZE)),
            ),
          )
        signal.throwIfAborted()
        const length = files.reduce((sum, file) => sum + countArchiveBytes(file), TAR_END.length)
        const stream = Readable.from(writeArchive(files), { objectMode: false })
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

/** Length of the id prefix that replaces a missing name. */
const SHORT_ID = 12

async function listFiles(folder: string, archiveFolder: string): Promise<ArchiveFile[]> {
  const names = (await readdir(folder)).toSorted()
  return Promise.all(
    names.map(async (name) => {
      const path = join(folder, name)
      const { size } = await stat(path)
      return { name: `${archiveFolder}/${name}`, size, content: () => createReadStream(path) }
    }),
  )
}

function createFile(name: string, bytes: Uint8Array): ArchiveFile {
  return { name, size: bytes.length, content: () => [bytes] }
}

async function* writeArchive(files: readonly ArchiveFile[]): AsyncGenerator<Uint8Array> {
  for (const { name, size, content } of files) {
    yield tarHeader(name, size)
    yield* content()
    yield tarPadding(size)
  }
  yield TAR_END
}

function countArchiveBytes({ name, size }: ArchiveFile): number {
  return tarHeader(name, size).length + size + tarPadding(size).length
}

/** Writes the configuration for Triton's TensorFlow backend (`model_config.proto` as text). */
function writeTritonConfig(
  name: string,
  { architecture, classes }: Specification,
  maxBatchSize: number,
): string {
  const output = (name: string): string =>
    `  { name: "${name}" data_type: TYPE_FP32 dims: [ ${String(classes)} ] }`
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
