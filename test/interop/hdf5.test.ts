import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { kerasHdf5Header } from '../../src/formats/hdf5.ts'
import { Keras } from '../support/keras.ts'
import { temporaryFolder } from '../support/service.ts'

let keras: Keras
let folder: string
beforeAll(async () => {
  keras = new Keras()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await keras.close()
  await rm(folder, { recursive: true })
})

const layer = (number: number): string => `${'layer'.repeat(10)}${String(number)}`

/** A long list of names is split into several attributes, a short one takes one. */
it.each([1, 3, 1500])('h5py and Keras read HDF5 of %d groups in order', async (count) => {
  const tensors = Array.from({ length: count }, (_, index) => [
    { name: `${layer(count - index)}/kernel`, shape: [2, 1 + (index % 2)] },
    { name: `${layer(count - index)}/b`, shape: [1] },
  ]).flat()
  let next = 0
  const values = tensors.map(({ shape: [rows = 1, columns] }) =>
    Float32Array.from({ length: rows * (columns ?? 1) }, () => next++ / 2),
  )
  const path = join(folder, `${String(count)}.h5`)
  const header = kerasHdf5Header(tensors, { keras_version: '3', backend: 'tensorflow' })
  await writeFile(path, Buffer.concat([header, ...values.map(({ buffer }) => Buffer.from(buffer))]))
  expect(await keras.ask({ op: 'hdf5', path })).toEqual({
    keras_version: '3',
    groups: count,
    weights: tensors.map(({ name, shape: [rows = 1, columns] }, index) => {
      const flat = [...(values[index] ?? [])]
      const rowOf = (row: number) => flat.slice(row * (columns ?? 1), (row + 1) * (columns ?? 1))
      return {
        name,
        values: columns === undefined ? flat : Array.from({ length: rows }, (_, row) => rowOf(row)),
      }
    }),
  })
})
