import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openWeightsFile } from '../../../src/formats/open-weights.ts'
import { openBackend, type Backend } from '../../../src/tensorflow/binding.ts'
import { Choices } from '../../support/random.ts'
import { PartsFolder } from '../../unit/support/weights-parts.ts'

let tf: Backend['tf']
let folder: PartsFolder
beforeAll(async () => {
  ;({ tf } = await openBackend())
  folder = await PartsFolder.create()
})
afterAll(() => folder.remove())

/** A shard as `model.json` lists it. */
interface SavedModel {
  readonly weightsManifest: readonly { readonly weights: readonly { readonly name: string }[] }[]
}

test('a layers model that TensorFlow.js saved has the names and values of its weights', async () => {
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ name: 'conv1_conv', inputShape: [8, 8, 3], filters: 4, kernelSize: 3 }),
      tf.layers.batchNormalization({ name: 'conv1_bn' }),
      tf.layers.flatten(),
      tf.layers.dense({ name: 'predictions', units: 2 }),
    ],
  })
  const path = join(folder.path, 'saved')
  await model.save(`file://${path}`)
  const saved = JSON.parse(await readFile(join(path, 'model.json'), 'utf8')) as SavedModel
  const file = await openWeightsFile(
    ['weights.bin', 'model.json'].map((name) => ({ name, path: join(path, name) })),
  )
  expect(file.format).toBe('tfjs')
  const names = saved.weightsManifest.flatMap(({ weights }) => weights.map(({ name }) => name))
  expect([...file.tensors.keys()]).toEqual(names)
  expect(names).toContain('conv1_conv/kernel')
  const values = model.getWeights()
  for (const [index, name] of names.entries()) {
    const expected = values[index]
    expect(file.tensors.get(name)).toEqual({ name, dtype: 'F32', shape: expected?.shape })
    expect(await file.read(name), name).toEqual(await expected?.data())
  }
  await file.close()
})

test('encoded weights of each dtype are read', async () => {
  const { data, specs } = await tf.io.encodeWeights({
    float: tf.tensor([1.5, -0, 3e-40, Infinity], [2, 2]),
    int: tf.tensor1d([2 ** 24, -7], 'int32'),
    bool: tf.tensor1d([true, false, true], 'bool'),
    scalar: tf.scalar(0.1),
  })
  const parts = await folder.write({
    'model.json': { weightsManifest: [{ paths: ['a', 'b'], weights: specs }] },
    a: new Uint8Array(data.slice(0, 21)),
    b: new Uint8Array(data.slice(21)),
  })
  const file = await openWeightsFile(parts)
  expect(await file.read('float')).toEqual(Float32Array.of(1.5, -0, 3e-40, Infinity))
  expect(await file.read('int')).toEqual(Float32Array.of(2 ** 24, -7))
  expect(await file.read('bool')).toEqual(Float32Array.of(1, 0, 1))
  expect(await file.read('scalar')).toEqual(Float32Array.of(0.1))
  await file.close()
})

describe('quantized weights are restored as TensorFlow.js does', () => {
  const affine = { scale: 0.003_921_568_627_450_98, min: -0.372_549_019_607_843 }
  test.each([
    ['uint8', 'float32', 1, affine],
    ['uint16', 'float32', 2, affine],
    ['float16', 'float32', 2, {}],
    ['uint8', 'int32', 1, { scale: 2.5, min: -3 }],
    ['uint16', 'int32', 2, { scale: 0.37, min: 11 }],
  ] as const)('%s of %s', async (dtype, original, width, scaling) => {
    const choices = new Choices(14)
    const size = 1001
    const data = Uint8Array.from({ length: size * width }, () => choices.integer(0, 255))
    // Exponents below 31: finite halves.
    if (dtype === 'float16') for (let at = 1; at < data.length; at += 2) data[at] = (data[at] ?? 0) & 0xbb
    const spec = {
      ...{ name: 'w', shape: [7, 11, 13], dtype: original },
      quantization: { dtype, original_dtype: original, ...scaling },
    }
    const expected = await tf.io.decodeWeights(data.buffer, [spec])['w']?.data()
    const cut = 333
    const parts = await folder.write({
      'model.json': { weightsManifest: [{ paths: ['a', 'b'], weights: [spec] }] },
      a: data.subarray(0, cut),
      b: data.subarray(cut),
    })
    const file = await openWeightsFile(parts)
    const values = await file.read('w')
    expect(values).toEqual(Float32Array.from(expected ?? []))
    expect(await file.read('w', 160, 20)).toEqual(values.slice(160, 180))
    expect(file.tensors.get('w')?.dtype).toBe(
      dtype === 'float16' ? 'F16' : original === 'int32' ? 'I32' : 'F32',
    )
    await file.close()
  })
})
