import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { environment } from '../lib/peers.mjs'
import { freePort, startServer } from '../lib/server.mjs'

/**
 * Triton with its Python backend, the only backend in its PyPI wheel. Dynamic batching without a delay:
 * requests that wait when the instance is free form a batch, computed over all cores. The JPEG is a binary
 * BYTES tensor; the top five come by the classification extension.
 * @param {import('./contestants.mjs').Settings} overrides
 */
export function triton(overrides) {
  const settings = { instances: 1, threads: cpus().length, spinning: 0, ...overrides }
  return {
    /** @type {import('./contestants.mjs').Contestant['start']} */
    start: async ({ onnx, folder }) => {
      const port = await freePort()
      const lib = join(environment('triton').folder, 'lib')
      const sitePackages = join(lib, (await readdir(lib))[0] ?? '', 'site-packages')
      const tritonserver = join(sitePackages, 'pytriton/tritonserver')
      const repository = join(folder, `triton-${String(port)}`)
      await mkdir(join(repository, 'network/1'), { recursive: true })
      await writeFile(
        join(repository, 'network/config.pbtxt'),
        `backend: "python"
max_batch_size: 32
input [{ name: "image" data_type: TYPE_STRING dims: [1] }]
output [{ name: "probabilities" data_type: TYPE_FP32 dims: [1000] }]
instance_group [{ kind: KIND_CPU count: ${String(settings.instances)} }]
dynamic_batching {}
`,
      )
      await symlink(resolve('bench/python/triton_model.py'), join(repository, 'network/1/model.py'))
      const server = await startServer(
        [
          join(tritonserver, 'bin/tritonserver'),
          ...['--model-repository', repository, '--backend-directory', join(tritonserver, 'backends')],
          ...['--http-address', '127.0.0.1', '--http-port', String(port)],
          ...['--allow-grpc', 'false', '--allow-metrics', 'false'],
          ...['--log-info', 'false', '--log-warning', 'false'],
        ],
        {
          port,
          health: '/v2/health/ready',
          env: {
            SITE_PACKAGES: sitePackages,
            BENCH_PEERS: resolve('bench/python'),
            NETWORK: onnx,
            THREADS: String(settings.threads),
            SPINNING: String(settings.spinning),
          },
        },
      )
      return { server, requestOf: (image) => ({ path: '/v2/models/network/infer', ...binaryTensor(image) }) }
    },
    read: (/** @type {string} */ body) => {
      /** @type {{ outputs: { data: string[] }[] }} */
      const { outputs } = JSON.parse(body)
      return (outputs[0]?.data ?? []).map((text) => {
        const [probability, index] = text.split(':')
        return { index: Number(index), probability: Number(probability) }
      })
    },
  }
}

/**
 * The binary tensor extension: JSON, then each element preceded by its length.
 * @param {Buffer} image
 */
function binaryTensor(image) {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(image.length)
  const tensor = Buffer.concat([length, image])
  const parameters = { binary_data_size: tensor.length }
  const json = Buffer.from(
    JSON.stringify({
      inputs: [{ name: 'image', shape: [1, 1], datatype: 'BYTES', parameters }],
      outputs: [{ name: 'probabilities', parameters: { classification: 5 } }],
    }),
  )
  return {
    headers: {
      'Content-Type': 'application/octet-stream',
      'Inference-Header-Content-Length': String(json.length),
    },
    body: Buffer.concat([json, tensor]),
  }
}
