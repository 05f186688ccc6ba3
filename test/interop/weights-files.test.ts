import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody, PredictionsBody } from '../support/client.ts'
import { arithmeticImage, npy } from '../support/images.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { programOf, runProgram } from '../support/python.ts'
import { temporaryFolder } from '../support/service.ts'

const WRITER = fileURLToPath(new URL('weights_files.py', import.meta.url))
const SHAPE = [1, 224, 224, 3]
const image = npy(SHAPE, arithmeticImage(SHAPE))

let folder: string
let running: ServiceProcess
beforeAll(async () => {
  folder = await temporaryFolder()
  await writeFile(join(folder, 'image.npy'), image)
  const torch = programOf('RESINIT_TORCH_PYTHON', 'torchvision and test/interop/torchvision.txt')
  const keras = programOf('RESINIT_PYTHON', 'Keras and TensorFlow')
  await runProgram(torch, [WRITER, 'torch', folder])
  await runProgram(keras, [WRITER, 'keras', folder])
  running = await startProcess({ DATA_DIR: join(folder, 'data') })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

// The same tensors from two files are one model, and its record describes the first file.
afterEach(async () => {
  const { models } = (await running.client.get('/v1/models')).json as { models: ModelBody[] }
  for (const { id } of models) await running.client.delete(`/v1/models/${id}`)
})

/** Creates a model from files of the folder; JSON parts come first. */
async function load(files: readonly string[], parts: Readonly<Record<string, object>> = {}) {
  const fields = Object.entries(parts).map(([name, value]) => ({ name, value: JSON.stringify(value) }))
  const weights = await Promise.all(
    files.map(async (file) => ({
      name: 'weights',
      value: await readFile(join(folder, file)),
      filename: file,
    })),
  )
  return running.client.form('/v1/models', [...fields, ...weights])
}

async function probabilities(id: string): Promise<number[]> {
  const path = `/v1/models/${id}/predict?include=probabilities`
  const { json } = await running.client.upload(path, image, 'application/x-npy')
  return ((json as PredictionsBody).predictions[0]?.probabilities ?? []).map(Number)
}

async function expectProbabilities(id: string, network: string, tolerance: number): Promise<void> {
  const wanted = JSON.parse(await readFile(join(folder, `${network}.json`), 'utf8')) as number[]
  const found = await probabilities(id)
  expect(found).toHaveLength(wanted.length)
  const largest = Math.max(...wanted)
  const difference = Math.max(...found.map((value, index) => Math.abs(value - (wanted[index] ?? NaN))))
  expect(difference / largest).toBeLessThan(tolerance)
}

const torchFiles: [readonly string[], number, object][] = [
  [['plain.pth'], 1e-4, { format: 'pytorch', names: 'torchvision', prefix: '', dtypes: ['F32'] }],
  [['checkpoint.pth'], 1e-4, { format: 'pytorch', names: 'torchvision', prefix: 'module.' }],
  [['half.pt'], 1e-2, { format: 'pytorch', names: 'torchvision', dtypes: ['F16'] }],
  [['double.bin'], 1e-4, { format: 'pytorch', names: 'torchvision', dtypes: ['F64'] }],
  [['transformers.safetensors'], 1e-4, { format: 'safetensors', names: 'transformers' }],
  [
    ['model.safetensors.index.json', 'a.safetensors', 'b.safetensors'],
    1e-4,
    { format: 'safetensors', names: 'torchvision' },
  ],
]
const kerasFiles = ['v1', 'v2'].flatMap((version) =>
  (['weights.h5', 'h5', 'keras', 'model.json'] as const).map((ending) => [version, ending] as const),
)

describe('without a specification', () => {
  it.each(torchFiles)("%j of torch gives torchvision's probabilities", async (files, tolerance, loaded) => {
    const answer = await load(files)
    expect(answer.status, answer.bytes.toString()).toBeLessThan(300)
    const model = answer.json as ModelBody & { loaded: object }
    expect(model.loaded).toMatchObject({ ...loaded, initialized: [], ignored: [] })
    await expectProbabilities(model.id, 'resnet18', tolerance)
  })

  it.each(kerasFiles)("Keras's ResNet50 %s as %s gives its probabilities", async (version, ending) => {
    const name = `keras-${version}`
    const shards = (await readdir(folder)).filter(
      (file) => file.startsWith(`${name}-`) && file.endsWith('.bin'),
    )
    const files = ending === 'model.json' ? [`${name}-model.json`, ...shards] : [`${name}.${ending}`]
    const answer = await load(files)
    expect(answer.status, answer.bytes.toString()).toBeLessThan(300)
    const model = answer.json as ModelBody & { loaded: object }
    expect(model.loaded).toMatchObject({ names: 'keras', initialized: [], ignored: [] })
    await expectProbabilities(model.id, name, 1e-4)
  })
})

it('a body without a head gets the head that the specification draws', async () => {
  const spec = { classes: 10, seed: 7, initializers: { kernel: 'he_normal' } }
  const answer = await load(['backbone.safetensors'], { spec, load: { missing: 'initialize' } })
  expect(answer.status, answer.bytes.toString()).toBeLessThan(300)
  const model = answer.json as ModelBody & { loaded: object }
  const head = ['head/dense/kernel', 'head/dense/bias']
  expect(model.loaded).toMatchObject({ names: 'torchvision', prefix: 'backbone.', initialized: head })
  const drawn = await running.client.create({ architecture: 'resnet18', ...spec })
  const digestOf = async (id: string): Promise<unknown> => {
    const { json } = await running.client.get(`/v1/models/${id}/statistics?parameters=head/dense/kernel`)
    return (json as { totals: { sha256: string } }).totals.sha256
  }
  expect(await digestOf(model.id)).toBe(await digestOf(drawn.id))
  expect(await probabilities(model.id)).toHaveLength(10)
})
