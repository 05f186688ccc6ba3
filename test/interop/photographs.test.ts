import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelBody, PredictionsBody } from '../support/client.ts'
import { npy } from '../support/images.ts'
import { JsonLines } from '../support/json-lines.ts'
import { Keras } from '../support/keras.ts'
import { expectLogits } from '../support/numbers.ts'
import { exportWeights, loadWeights } from '../support/weights.ts'
import { startProcess, type ServiceProcess } from '../support/process.ts'
import { programOf } from '../support/python.ts'
import { Choices } from '../support/random.ts'
import { temporaryFolder } from '../support/service.ts'

const TORCHVISION = fileURLToPath(new URL('torchvision_peer.py', import.meta.url))
/** Photographs in scikit-learn: 640 by 427. */
const NAMES = ['china.jpg', 'flower.jpg']
const [HEIGHT, WIDTH] = [427, 640] as const
const choices = new Choices()

interface Photograph {
  readonly name: string
  readonly jpeg: Buffer
  /** Files of decoded pixels, by the width of the network's input. */
  readonly pixels: Readonly<Record<number, string>>
}
interface Outputs {
  readonly logits: number[]
  readonly probabilities: number[]
}

let keras: Keras
let folder: string
let running: ServiceProcess
let photographs: Photograph[]
let python: ChildProcess
let torchvision: JsonLines
beforeAll(async () => {
  const program = programOf('RESINIT_TORCH_PYTHON', 'torchvision and test/interop/torchvision.txt')
  const child = spawn(program, [TORCHVISION], { stdio: ['pipe', 'pipe', 'ignore'] })
  torchvision = new JsonLines('torchvision', child.stdin, child.stdout)
  python = child
  keras = new Keras()
  folder = await temporaryFolder()
  running = await startProcess({ DATA_DIR: join(folder, 'data') })
  photographs = await Promise.all(NAMES.map(photographOf))
})
afterAll(async () => {
  python.stdin?.end()
  await Promise.all([running.stop(), keras.close(), once(python, 'exit')])
  await rm(folder, { recursive: true })
})

/** The photograph in its own size and cropped to 224 by 224 from the pixels that TensorFlow decoded. */
async function photographOf(name: string): Promise<Photograph> {
  const pixels = { [WIDTH]: join(folder, `${name}.npy`), 224: join(folder, `${name}-224.npy`) }
  const { jpeg } = (await keras.ask({ op: 'photograph', name, path: pixels[WIDTH] })) as { jpeg: string }
  const whole = await readFile(pixels[WIDTH])
  const values = whole.subarray(-HEIGHT * WIDTH * 3)
  const cut = sharp(values, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } }).resize(224, 224)
  await writeFile(pixels[224], npy([224, 224, 3], await cut.raw().toBuffer()))
  return { name, jpeg: await readFile(jpeg), pixels }
}

/** The service's result for the JPEG. */
async function predicted(model: ModelBody, { jpeg }: Photograph): Promise<Outputs> {
  const path = `/v1/models/${model.id}/predict?include=logits,probabilities`
  const answer = await running.client.upload(path, jpeg, 'image/jpeg')
  expect(answer.status).toBe(200)
  const [{ logits = [], probabilities = [], image } = {}] = (answer.json as PredictionsBody).predictions
  expect(image).toEqual({ width: WIDTH, height: HEIGHT, format: 'jpeg' })
  return { logits: logits.map(Number), probabilities: probabilities.map(Number) }
}

function expectSame(given: Outputs, wanted: Outputs): void {
  expectLogits(given.logits, wanted.logits)
  expect(given.probabilities).toHaveLength(wanted.probabilities.length)
  const differences = wanted.probabilities.map((value, at) =>
    Math.abs(value - (given.probabilities[at] ?? NaN)),
  )
  expect(Math.max(...differences)).toBeLessThan(1e-4)
}

async function forget({ id }: ModelBody): Promise<void> {
  expect((await running.client.delete(`/v1/models/${id}`)).status).toBe(204)
}

const SIZES = [
  ['cropped to 224x224', [224, 224, 3]],
  ['in original size', [HEIGHT, WIDTH, 3]],
] as const

describe('imported weights classify photographs like their own framework', () => {
  it.each(SIZES)("Keras's ResNet50, %s", async (_, shape) => {
    const weights = join(folder, 'keras.safetensors')
    await keras.ask({ op: 'save_resnet50', seed: choices.integer(0, 2 ** 32 - 1), path: weights })
    const model = await loadWeights(running.client, weights, { preset: 'resnet50_v1', input_shape: shape })
    for (const photograph of photographs) {
      const wanted = await keras.ask({ op: 'resnet50', weights, pixels: photograph.pixels[shape[1]] })
      expectSame(await predicted(model, photograph), wanted as Outputs)
    }
    await forget(model)
  })

  it.each(
    ['resnet18', 'resnet50'].flatMap((preset) => SIZES.map(([how, shape]) => [preset, how, shape] as const)),
  )("torchvision's %s, %s, in both directions", async (preset, _, shape) => {
    const saved = join(folder, 'torchvision.safetensors')
    const seed = choices.integer(0, 2 ** 32 - 1)
    await torchvision.ask({ op: 'save', name: preset, seed, path: saved })
    const model = await loadWeights(running.client, saved, { preset, input_shape: shape })
    const { path } = await exportWeights(running.client, model.id, {
      names: 'torchvision',
      to: join(folder, 'exported.safetensors'),
    })
    const images = photographs.map(({ pixels }) => pixels[shape[1]] ?? '')
    const given = await Promise.all(photographs.map((photograph) => predicted(model, photograph)))
    for (const weights of [saved, path]) {
      const answer = await torchvision.ask({ op: 'predict', name: preset, path: weights, images })
      for (const [index, wanted] of (answer as { outputs: Outputs[] }).outputs.entries())
        expectSame(given[index] ?? { logits: [], probabilities: [] }, wanted)
    }
    await forget(model)
  })
})
