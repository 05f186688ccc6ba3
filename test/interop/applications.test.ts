import { createHash } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { ModelBody } from '../support/client.ts'
import { arithmeticImage } from '../support/images.ts'
import { Keras } from '../support/keras.ts'
import { expectLogits, floatsOf } from '../support/numbers.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { Choices } from '../support/random.ts'
import { parseSafetensors } from '../support/safetensors.ts'
import { temporaryFolder } from '../support/service.ts'

interface Application {
  readonly parameter_count: number
  readonly parameters: readonly { readonly name: string; readonly shape: number[]; readonly sha256: string }[]
  readonly logits: string
}

const SHAPE = [224, 224, 3]
const choices = new Choices()
const imageSeed = choices.integer(0, 250)

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
let model: ModelBody
// Each model has up to a quarter of a gigabyte.
afterEach(() => running.client.delete(`/v1/models/${model.id}`))

const ask = (name: string, fields: object): Promise<Application> => {
  const preprocessing = name.endsWith('V2') ? 'tf' : 'caffe'
  return keras.ask({
    op: 'application',
    name,
    preprocessing,
    image_seed: imageSeed,
    ...fields,
  }) as Promise<Application>
}
const expectSameLogits = async ({ logits }: Application): Promise<void> => {
  const [row = []] = await running.client.logits(model.id, [1, ...SHAPE], arithmeticImage(SHAPE, imageSeed))
  expectLogits(row, floatsOf(logits))
}
/** Uses fetch, since the largest files exceed the client's buffer. */
const weights = async (accept: string): Promise<Buffer> => {
  const address = `${running.client.url}/v1/models/${model.id}/weights?names=keras`
  return Buffer.from(await (await fetch(address, { headers: { accept } })).arrayBuffer())
}

it.each(
  [50, 101, 152].flatMap((depth) => [
    [`resnet${String(depth)}_v1`, `ResNet${String(depth)}`, choices.integer(0, 2 ** 32 - 1)] as const,
    [`resnet${String(depth)}_v2`, `ResNet${String(depth)}V2`, choices.integer(0, 2 ** 32 - 1)] as const,
  ]),
)('%s is %s after set_random_seed(%d), variable by variable', async (architecture, name, seed) => {
  const wanted = await ask(name, { seed })
  model = await running.client.create({ architecture, seeding: 'keras', seed })
  expect(model.parameter_count).toBe(wanted.parameter_count)
  await expectSameLogits(wanted)
  const { tensors } = parseSafetensors(await weights('application/vnd.safetensors'))
  const given = [...tensors].map(([path, { shape, bytes }]) => ({
    name: path,
    shape,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }))
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  expect(given.sort(byName)).toEqual([...wanted.parameters].sort(byName))
})

it.each([
  ['resnet50_v1', 'ResNet50'],
  ['resnet50_v2', 'ResNet50V2'],
])("%s's weights load into %s by load_weights, and back", async (architecture, name) => {
  const initializers = {
    kernel: 'he_normal',
    bias: { class_name: 'RandomNormal', config: { stddev: 0.1 } },
    gamma: { class_name: 'RandomUniform', config: { minval: 0.5, maxval: 1.5 } },
  }
  model = await running.client.create({ architecture, initializers, seed: choices.integer(0, 1e9) })
  const load = join(folder, 'exported.h5')
  await writeFile(load, await weights('application/x-hdf5'))
  await expectSameLogits(await ask(name, { load }))
  await running.client.delete(`/v1/models/${model.id}`)

  const save = join(folder, 'trained.safetensors')
  const trained = await ask(name, { save, seed: choices.integer(0, 1e9) })
  const answer = await running.client.form('/v1/models', [
    { name: 'spec', value: JSON.stringify({ architecture }) },
    { name: 'weights', value: await readFile(save), filename: 'trained.safetensors' },
  ])
  expect(answer.status).toBe(201)
  model = answer.json as ModelBody
  await expectSameLogits(trained)
})
