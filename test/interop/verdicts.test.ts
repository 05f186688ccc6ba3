import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FittedTensor, FittedWeights } from '../../src/analysis/contract.ts'
import { programOf, runProgram } from '../support/python.ts'
import { parseSafetensors } from '../support/safetensors.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

/* A selection of the state dicts of `node bench/parts/verdicts.mjs`. */

const SCRIPTS = fileURLToPath(new URL('state_dicts/', import.meta.url))
const KERAS = [
  ...['keras-transformer', 'keras-recurrent', 'keras-network-float16', 'keras-perceptron-pruned'],
  ...['keras-perceptron-untruncated-1-epoch', 'keras-network-glorot-1-epoch', 'keras-network-frozen'],
]
const TORCH = [
  ...['torch-recurrent', 'torch-transformer-bfloat16', 'torch-perceptron-int8-rows'],
  ...['torch-perceptron-kaiming-1-epoch'],
]

let running: RunningService
let folder: string
beforeAll(async () => {
  running = await startService()
  folder = await temporaryFolder()
  const keras = programOf('RESINIT_PYTHON', 'test/golden/requirements.txt')
  const torch = programOf('RESINIT_TORCH_PYTHON', 'torch and test/interop/torchvision.txt')
  await runProgram(keras, [join(SCRIPTS, 'keras_dicts.py'), folder, ...KERAS])
  await runProgram(torch, [join(SCRIPTS, 'torch_dicts.py'), folder, ...TORCH])
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

type Truth = 'fresh' | 'moved' | 'altered'

async function judged(name: string): Promise<(FittedTensor & { truth: Truth | undefined })[]> {
  const bytes = await readFile(join(folder, `${name}.safetensors`))
  const truths = JSON.parse(parseSafetensors(bytes).metadata['truths'] ?? '') as Record<string, Truth>
  const answer = await running.client.upload('/v1/weights/statistics', bytes, 'application/octet-stream')
  expect(answer.status).toBe(200)
  const { parameters } = answer.json as FittedWeights
  return parameters.map((tensor) => ({ ...tensor, truth: truths[tensor.name] }))
}

describe.each([...KERAS, ...TORCH])('%s', (dict) => {
  it('has no tensor with a wrong verdict', async () => {
    const tensors = await judged(dict)
    const wrong = tensors.filter(({ truth, verdict }) =>
      truth === 'moved' ? verdict === 'fresh' : verdict === 'trained',
    )
    expect(wrong.map(({ name, verdict, note }) => [name, verdict, note])).toEqual([])
    const has = (kind: string) => tensors.some(({ verdict }) => verdict === kind)
    expect(has('trained')).toBe(tensors.some(({ truth }) => truth === 'moved'))
    if (dict !== 'keras-perceptron-pruned' && !has('trained')) expect(has('fresh')).toBe(true)
  })
})

it('names the initializers of kernels of attention and of recurrent cells', async () => {
  const named = async (dict: string, part: RegExp) =>
    (await judged(dict))
      .filter(({ name }) => part.test(name))
      .map(({ verdict, candidates: [best] }) => [verdict, best?.initializer.class_name])
  const attention = await named('keras-transformer', /(query|key|value|attention_output)\/kernel$/)
  expect(attention).toHaveLength(16)
  expect(new Set(attention.map(String))).toEqual(new Set(['fresh,GlorotUniform']))
  const lstm = await judged('torch-recurrent')
  for (const { candidates } of lstm.filter(({ name }) => name.startsWith('lstm.weight'))) {
    const bound = 1 / Math.sqrt(96)
    expect(candidates[0]?.initializer).toEqual({
      class_name: 'RandomUniform',
      config: { minval: -bound, maxval: bound },
    })
  }
})

it('calls frozen kernels between bounds fresh, beside trained ones', async () => {
  const kernels = (await judged('keras-network-frozen')).filter(({ shape }) => shape.length === 4)
  expect(kernels.map(({ truth, verdict }) => `${String(truth)} ${verdict}`)).toContain('fresh fresh')
})
