import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServiceError } from '../../../src/common/errors.ts'
import { openKerasArchive } from '../../../src/formats/keras/open-archive.ts'
import { openH5 } from '../../../src/formats/keras/open-h5.ts'
import type { WeightsFile } from '../../../src/formats/weights-file.ts'
import { Choices } from '../../support/random.ts'
import { refusalOf } from '../support/errors.ts'

const MUTATIONS = 500

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-keras-'))
})
afterAll(() => rm(folder, { recursive: true }))

function fixture(name: string): string {
  return fileURLToPath(new URL(`../../fixtures/keras/${name}`, import.meta.url))
}

function openFixture(name: string): Promise<WeightsFile> {
  return name.endsWith('.keras') ? openKerasArchive(fixture(name), folder) : openH5(fixture(name))
}

async function valuesOf(file: WeightsFile): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {}
  for (const name of file.tensors.keys()) values[name] = [...(await file.read(name))]
  await file.close()
  return values
}

describe('a network that Keras saved', () => {
  test.each(['small.h5', 'small.weights.h5', 'small.keras', 'unnamed.weights.h5', 'unnamed.keras'])(
    '%s has the names and values of the model',
    async (name) => {
      const expected = JSON.parse(await readFile(fixture('small.json'), 'utf8')) as Record<string, number[]>
      const file = await openFixture(name)
      expect(file.format).toBe(name.endsWith('.keras') ? 'keras' : 'keras_h5')
      expect(file.tensors.get('conv1_conv/kernel')).toEqual({
        ...{ name: 'conv1_conv/kernel', dtype: 'F32', shape: [3, 3, 3, 2] },
      })
      expect(await valuesOf(file)).toEqual(expected)
      expect(await readdir(folder)).toEqual([])
    },
  )

  test('the state of a dropout layer is no weight', async () => {
    const expected = JSON.parse(await readFile(fixture('small.json'), 'utf8')) as Record<string, number[]>
    expect(await valuesOf(await openFixture('dropout.weights.h5'))).toEqual(expected)
  })

  test.each([
    ['bfloat16', 'BF16'],
    ['float16', 'F16'],
    ['float64', 'F64'],
  ])('%s becomes float32', async (name, dtype) => {
    for (const extension of ['h5', 'weights.h5']) {
      const file = await openFixture(`${name}.${extension}`)
      expect(file.tensors.get('conv1_conv/bias')?.dtype).toBe(dtype)
      expect(await valuesOf(file)).toEqual({ 'conv1_conv/kernel': [1.5, -2], 'conv1_conv/bias': [0.25, 3] })
    }
  })

  test('Keras 2 has split lists, unique variable names and nested models', async () => {
    expect([...(await openFixture('keras2.h5')).tensors.keys()]).toEqual([
      ...['conv1_conv/kernel', 'conv1_conv/bias'],
      ...['conv2_block1_1_conv/kernel', 'conv2_block1_1_bn/gamma'],
    ])
  })

  test('a big-endian and a chunked dataset are read', async () => {
    expect(await valuesOf(await openFixture('big-endian.h5'))).toEqual({ 'conv2d/kernel': [1.5, 2] })
    expect(await valuesOf(await openFixture('chunked.h5'))).toEqual({
      'conv2d/kernel': Array.from({ length: 12 }, (_, index) => index),
    })
  })

  test('every part of a tensor can be read', async () => {
    const file = await openFixture('small.weights.h5')
    const name = 'conv2_block1_1_conv/kernel'
    const all = await file.read(name)
    for (let start = 0; start <= all.length; start += 1) {
      for (let end = start; end <= all.length; end += 5)
        expect(await file.read(name, start, end - start)).toEqual(all.slice(start, end))
    }
    await expect(file.read(name, 1, all.length)).rejects.toThrow(RangeError)
    await file.close()
  })
})

describe('a hostile file is refused', () => {
  test.each([
    ['virtual.h5', 'is virtual'],
    ['soft.h5', 'is a soft or external link'],
    ['external.h5', 'is a soft or external link'],
    ['external-group.h5', 'is a soft or external link'],
    ['cyclic.h5', 'nested deeper'],
    ['huge.h5', 'the shapes of its tensors need'],
    ['gzip.h5', 'is compressed'],
    ['strings.h5', 'does not hold numbers'],
    ['compound.h5', 'does not hold numbers'],
    ['gap.h5', 'has no variable 0'],
    ['empty.h5', 'neither layer_names nor groups'],
    ['missing.h5', 'is damaged'],
    ['small.json', 'is damaged'],
    ['lambda.keras', 'Keras with custom layers: "Lambda"'],
  ])('%s: %s', async (name, reason) => {
    const { code, message } = await refusalOf(openFixture(name))
    expect(code).toBe('INVALID_WEIGHTS')
    expect(message).toContain(reason)
    expect(await readdir(folder)).toEqual([])
  })

  test('a dataset in another file is not read', async () => {
    const file = await openFixture('external-storage.h5')
    expect((await refusalOf(file.read('conv2d/kernel'))).code).toBe('INVALID_WEIGHTS')
    await file.close()
  })

  test('changed bytes give values or INVALID_WEIGHTS', { timeout: 300_000 }, async () => {
    const choices = new Choices(Number(process.env['RESINIT_TEST_SEED'] ?? 1))
    const path = join(folder, 'changed')
    const outcomes = new Map<string, number>()
    for (let round = 0; round < MUTATIONS; round += 1) {
      const name = choices.of(
        'float16.h5',
        'float16.weights.h5',
        'keras2.h5',
        'chunked.h5',
        'bfloat16.weights.h5',
      )
      const bytes = await readFile(fixture(name))
      for (let change = choices.integer(1, 6); change > 0; change -= 1)
        bytes[choices.integer(0, bytes.length - 1)] = choices.of(0, 1, 0x7f, 0xff, choices.integer(0, 255))
      await writeFile(path, bytes.subarray(0, choices.of(bytes.length, choices.integer(0, bytes.length))))
      const outcome = await openH5(path)
        .then(valuesOf)
        .then(
          () => 'values',
          (error: unknown) => (error instanceof ServiceError ? error.code : String(error)),
        )
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    await rm(path)
    expect([...outcomes.keys()].sort()).toEqual(['INVALID_WEIGHTS', 'values'])
    // The library still reads a valid file.
    await copyFile(fixture('small.h5'), path)
    expect(Object.keys(await valuesOf(await openH5(path)))).toHaveLength(38)
    await rm(path)
  })
})
