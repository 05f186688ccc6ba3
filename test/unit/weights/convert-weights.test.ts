import fc from 'fast-check'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openWeightsFile } from '../../../src/formats/open-weights.ts'
import { inverse, transposed } from '../../../src/formats/transpose.ts'
import { convertWeights } from '../../../src/weights/worker/convert-weights.ts'
import { parseSafetensors, writeDtypes } from '../../support/safetensors.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-test-'))
})
afterEach(() => rm(folder, { recursive: true }))

const tensors = fc.array(
  fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 4 }).chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axes: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
      isPresent: fc.boolean(),
    }),
  ),
  { minLength: 1, maxLength: 4 },
)
const sizes = fc.record({ chunk: fc.integer({ min: 1, max: 50 }), block: fc.integer({ min: 1, max: 50 }) })
const job = { signal: new AbortController().signal, alive: () => undefined }

function bytesOf(values: Float32Array): Buffer {
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength)
}

it('tensors are transposed in blocks of any size, and missing ones are zeros', async () => {
  const source = join(folder, 'source')
  const target = join(folder, 'target')
  await fc.assert(
    fc.asyncProperty(tensors, sizes, async (given, limits) => {
      const found = given.map(({ shape, axes, isPresent }, index) => {
        const size = shape.reduce((product, length) => product * length, 1)
        const values = Float32Array.from({ length: size }, (_, at) => index * 1000 + at + 1)
        return { name: `t${String(index)}`, shape, axes, isPresent, values }
      })
      await writeFile(
        source,
        writeDtypes(
          Object.fromEntries(
            found.map(({ name, shape, values }) => [name, { dtype: 'F32', shape, bytes: bytesOf(values) }]),
          ),
        ),
      )
      const file = await openWeightsFile([{ name: 'source', path: source }])
      const wanted = found.map(({ name, shape, axes, isPresent }) => ({
        name: `${name}/kernel`,
        shape: inverse(axes).map((axis) => shape[axis] ?? 1),
        source: isPresent ? { name, axes } : undefined,
      }))
      try {
        await convertWeights(file, wanted, target, job, limits)
        const converted = parseSafetensors(await readFile(target)).tensors
        expect([...converted.keys()]).toEqual(wanted.map(({ name }) => name))
        for (const { name, shape, axes, isPresent, values } of found) {
          const expected = isPresent ? transposed(values, shape, inverse(axes)) : values.map(() => 0)
          expect(converted.get(`${name}/kernel`)?.bytes).toEqual(bytesOf(expected))
        }
      } finally {
        await file.close()
        await rm(target, { force: true })
      }
    }),
    { numRuns: 50 },
  )
})

it('an abort ends the conversion', async () => {
  const path = join(folder, 'source')
  await writeFile(path, writeDtypes({ a: { dtype: 'F32', shape: [4], bytes: Buffer.alloc(16) } }))
  const file = await openWeightsFile([{ name: 'source', path }])
  const reason = new Error('left')
  const aborted = { signal: AbortSignal.abort(reason), alive: () => undefined }
  const tensor = { name: 'a', shape: [4], source: { name: 'a', axes: [0] } }
  await expect(convertWeights(file, [tensor], join(folder, 'target'), aborted)).rejects.toBe(reason)
  await file.close()
})
