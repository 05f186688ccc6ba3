import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ModelBody } from '../support/client.ts'
import { Keras } from '../support/keras.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { Choices } from '../support/random.ts'
import { temporaryFolder } from '../support/service.ts'
import { exportWeights, HDF5, loadWeights } from '../support/weights.ts'

const choices = new Choices()
const initializers = {
  kernel: 'he_normal',
  gamma: { class_name: 'RandomUniform', config: { minval: 0.5, maxval: 1.5 } },
  beta: 'random_normal',
}

let keras: Keras
let folder: string
let running: ServiceProcess
beforeAll(async () => {
  keras = new Keras()
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: join(folder, 'data') })
})
afterAll(async () => {
  await Promise.all([running.stop(), keras.close()])
  await rm(folder, { recursive: true })
})

const drawn = (architecture: string): Promise<ModelBody> =>
  running.client.create({ architecture, initializers, seed: choices.integer(0, 1e9) })
const leave = (model: ModelBody, names: string, file: string, accept?: string) =>
  exportWeights(running.client, model.id, { names, to: join(folder, file), ...(accept && { accept }) })
const forget = ({ id }: ModelBody) => running.client.delete(`/v1/models/${id}`)

/** Header and values of a safetensors file. */
async function partsOf(path: string): Promise<{ head: string; values: Buffer }> {
  const bytes = await readFile(path)
  const start = 8 + Number(bytes.readBigUInt64LE())
  return { head: bytes.subarray(8, start).toString(), values: bytes.subarray(start) }
}

it.each(
  ['resnet18', 'resnet50'].flatMap((architecture) =>
    ['torchvision', 'keras'].map((names) => [architecture, names] as const),
  ),
)('%s under the names of %s: a loaded export exports the same bytes', async (architecture, names) => {
  const recipe = await drawn(architecture)
  const origin = await leave(recipe, names, 'origin.safetensors')
  await forget(recipe)
  const loaded = await loadWeights(running.client, origin.path)
  const first = await leave(loaded, names, 'first.safetensors')
  await forget(loaded)
  const [before, after] = [await partsOf(origin.path), await partsOf(first.path)]
  expect(after.values.equals(before.values)).toBe(true)
  // Only the model's id differs from the recipe's file.
  expect(after.head.replace(loaded.id, recipe.id)).toBe(before.head)

  const again = await loadWeights(running.client, first.path)
  expect(again.id).toBe(loaded.id)
  const second = await leave(again, names, 'second.safetensors')
  expect(second.sha256).toBe(first.sha256)
  await forget(again)
})

it.each(['resnet18', 'resnet50'])(
  '%s as HDF5, read by h5py, exports the same bytes',
  async (architecture) => {
    const recipe = await drawn(architecture)
    const origin = await leave(recipe, 'keras', 'origin.h5', HDF5)
    await forget(recipe)
    const to = join(folder, 'read.safetensors')
    const digests: string[] = []
    for (let from = origin.path; digests.length < 2; from = join(folder, 'loaded.h5')) {
      await keras.ask({ op: 'hdf5_to_safetensors', from, to })
      const loaded = await loadWeights(running.client, to, architecture)
      digests.push((await leave(loaded, 'keras', 'loaded.h5', HDF5)).sha256)
      await forget(loaded)
    }
    expect(digests[1]).toBe(digests[0])
  },
)
