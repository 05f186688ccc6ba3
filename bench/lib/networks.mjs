import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { environment, runPython } from './peers.mjs'
import { createModel, post, startService } from './service.mjs'

/**
 * The networks that all contestants serve. `tiny` computes for less than a millisecond, so its figures show
 * the server: HTTP, the decoding of the JPEG, batching.
 */
export const specifications = {
  resnet50: { architecture: 'resnet50', initializers: { kernel: 'he_normal' } },
  tiny: {
    architecture: {
      padding: 'symmetric',
      stem: { kernel_size: 7, filters: 8, strides: 4, padding: 'symmetric', pool: null },
      stages: [{ blocks: 1, filters: 8, strides: 2 }],
    },
    initializers: { kernel: 'he_normal' },
  },
}

/**
 * A network to serve: a folder for files of its servers, the weights that the service exports, the same
 * weights as ONNX for the peers, and whether the service also computes it in bfloat16.
 * @typedef {object} Network
 * @property {object} specification
 * @property {string} folder
 * @property {string} weights
 * @property {string} onnx
 * @property {boolean} offersBfloat16
 */

/**
 * @param {keyof typeof specifications} name
 * @param {string} parent
 * @returns {Promise<Network>}
 */
export async function prepareNetwork(name, parent) {
  const folder = join(parent, name)
  await mkdir(folder)
  const [weights, onnx] = [join(folder, 'weights.safetensors'), join(folder, 'network.onnx')]
  const specification = specifications[name]
  const service = await startService(join(folder, 'export'))
  let offersBfloat16
  try {
    const plan = await post(service, '/v1/plans', { ...specification, precision: 'bfloat16' })
    offersBfloat16 = plan.status === 200
    const { id } = await createModel(service, specification)
    const response = await fetch(`${service.url}/v1/models/${id}/weights`)
    if (!response.ok) throw new Error(await response.text())
    await writeFile(weights, Buffer.from(await response.arrayBuffer()))
  } finally {
    await service.stop()
  }
  await runPython(environment('model').python, ['bench/python/export_onnx.py', weights, onnx])
  return { specification, folder, weights, onnx, offersBfloat16 }
}

/** The photograph that clients upload: a JPEG of the networks' input size, 19 KB. */
export async function photograph() {
  const pixels = sharp(await readFile('test/fixtures/flower.jpg')).resize(224, 224)
  return pixels.jpeg({ quality: 96 }).toBuffer()
}
