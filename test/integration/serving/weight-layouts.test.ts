import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer, ModelBody } from '../../support/client.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { parseSafetensors, writeSafetensors } from '../../support/safetensors.ts'
import { startService, type RunningService } from '../../support/service.ts'

const shape = [1, 8, 8, 3]
const specification = {
  ...tiny,
  architecture: { ...tiny.architecture, shortcut: 'always', stages: [{ blocks: 2, filters: 3 }] },
  initializers: { gamma: 'random_uniform', beta: 'random_normal', bias: 'random_normal' },
}
let running: RunningService
let drawn: ModelBody
let logits: number[][]
const files = new Map<string, Buffer>()
beforeAll(async () => {
  running = await startService()
  drawn = await running.client.create(specification)
  logits = await running.client.logits(drawn.id, shape, arithmeticImage(shape))
  for (const names of ['resinit', 'torchvision', 'keras']) files.set(names, await exported(drawn.id, names))
})
afterAll(() => running.close())

const pathOf = (model: string, names: string): string => `/v1/models/${model}/weights?names=${names}`
const exported = async (model: string, names: string): Promise<Buffer> =>
  (await running.client.get(pathOf(model, names))).bytes
const fileOf = (names: string): Buffer => files.get(names) ?? Buffer.alloc(0)
const load = (file: Buffer, spec: object = specification): Promise<Answer> =>
  running.client.form('/v1/models', [
    { name: 'spec', value: JSON.stringify(spec) },
    { name: 'weights', value: file, filename: 'weights.safetensors' },
  ])
interface Tensor {
  readonly shape: readonly number[]
  readonly bytes: Buffer
}
const tensorOf = (names: string, tensor: string): Tensor =>
  parseSafetensors(fileOf(names)).tensors.get(tensor) ?? { shape: [], bytes: Buffer.alloc(0) }
const floats = ({ bytes }: Tensor): Float32Array => new Float32Array(Uint8Array.from(bytes).buffer)

describe.each(['resinit', 'torchvision', 'keras'])('weights under the names of %s', (names) => {
  it('load as the same model with the same predictions, and export as the same bytes', async () => {
    const ids = await Promise.all(
      [fileOf(names), fileOf('resinit')].map(async (file) => ((await load(file)).json as ModelBody).id),
    )
    expect(ids[0]).toBe(ids[1])
    const id = ids[0] ?? ''
    const { weights_sha256 } = await running.client.withDigest(id)
    expect(weights_sha256).toBe((await running.client.withDigest(drawn.id)).weights_sha256)
    expect(await running.client.logits(id, shape, arithmeticImage(shape))).toEqual(logits)
    const again = parseSafetensors(await exported(id, names))
    const first = parseSafetensors(fileOf(names))
    expect([...again.tensors]).toEqual([...first.tensors])
    // Only the id differs.
    expect({ ...again.metadata, 'resinit.id': drawn.id }).toEqual(first.metadata)
    const second = (await load(await exported(id, names))).json as ModelBody
    expect(second.id).toBe(id)
    expect(await exported(second.id, names)).toEqual(await exported(id, names))
  })

  it('need no specification', async () => {
    const part = { name: 'weights', value: fileOf(names), filename: 'w' }
    const answer = await running.client.form('/v1/models', [part])
    expect((answer.json as ModelBody).spec).toEqual(drawn.spec)
  })

  it('support ranges', async () => {
    const whole = fileOf(names)
    for (const [start, end] of [
      [0, 9],
      [whole.length - 1001, whole.length],
      [whole.length - 2222, whole.length - 13],
      [1001, 1702],
    ] as const) {
      const range = `bytes=${String(start)}-${String(end - 1)}`
      const answer = await running.client.get(pathOf(drawn.id, names), { range })
      expect([answer.status, answer.bytes]).toEqual([206, whole.subarray(start, end)])
    }
  })

  it('have different ETags', async () => {
    const tags = await Promise.all(
      [...files.keys()].map(
        async (each) => (await running.client.get(pathOf(drawn.id, each))).headers['etag'],
      ),
    )
    expect(new Set(tags).size).toBe(files.size)
  })
})

describe('the axes of torchvision', () => {
  it('are output, input, height, width', () => {
    const [own, foreign] = [tensorOf('resinit', 'stem/conv/kernel'), tensorOf('torchvision', 'conv1.weight')]
    expect([own.shape, foreign.shape]).toEqual([
      [3, 3, 3, 4],
      [4, 3, 3, 3],
    ])
    const at = (o: number, i: number, y: number, x: number) =>
      [((y * 3 + x) * 3 + i) * 4 + o, ((o * 3 + i) * 3 + y) * 3 + x] as const
    for (const index of [at(0, 0, 0, 0), at(3, 2, 2, 2), at(1, 2, 0, 1), at(2, 0, 1, 2)])
      expect(floats(foreign)[index[1]]).toBe(floats(own)[index[0]])
  })

  it('are output, input of a dense kernel', () => {
    const [own, foreign] = [tensorOf('resinit', 'head/dense/kernel'), tensorOf('torchvision', 'fc.weight')]
    expect([own.shape, foreign.shape]).toEqual([
      [3, 5],
      [5, 3],
    ])
    expect(floats(foreign)[4 * 3 + 1]).toBe(floats(own)[5 + 4])
  })

  it('are those of one tensor as npy, chosen by its own name', async () => {
    const path = `${pathOf(drawn.id, 'torchvision')}&parameters=stem/norm/moving_variance`
    const npy = await running.client.get(path, { accept: 'application/x-npy' })
    expect(npy.bytes.subarray(10, 70).toString()).toContain("'shape': (4,)")
    const both = parseSafetensors((await running.client.get(path)).bytes)
    expect([...both.tensors.keys()]).toEqual(['bn1.num_batches_tracked', 'bn1.running_var'])
  })

  it('have num_batches_tracked 0; imports ignore it', async () => {
    expect(tensorOf('torchvision', 'bn1.num_batches_tracked')).toEqual({ shape: [], bytes: Buffer.alloc(8) })
    const { metadata, tensors } = parseSafetensors(fileOf('torchvision'))
    const kept = new Map([...tensors].filter(([name]) => !name.endsWith('num_batches_tracked')))
    const { id } = (await load(writeSafetensors({ metadata, tensors: kept }))).json as ModelBody
    const counted = Buffer.from(fileOf('torchvision'))
    counted.writeBigInt64LE(77n, 8 + Number(counted.readBigUInt64LE()))
    expect(((await load(counted)).json as ModelBody).id).toBe(id)
  })
})

describe('rejected:', () => {
  it.each([
    [{ version: 'v2' }, /torchvision has no names for this network: its blocks are v1 or v1.5/],
    [{ use_bias: true }, /no biases; this network has them/],
  ])('the names of torchvision for %j', async (architecture, says) => {
    const body = { ...tiny, architecture: { ...tiny.architecture, ...architecture } }
    const { id } = await running.client.create(body)
    const refused = { status: 422, code: 'INVALID_REQUEST', pointer: '#/names', says } as const
    expectProblem(await running.client.get(pathOf(id, 'torchvision')), refused)
    expectProblem(await load(fileOf('torchvision'), body), {
      ...refused,
      code: 'INVALID_WEIGHTS',
      pointer: '#/weights',
    })
  })

  it("HDF5 under other names than Keras's", async () => {
    const answer = await running.client.get(pathOf(drawn.id, 'torchvision'), { accept: 'application/x-hdf5' })
    expectProblem(answer, { status: 422, code: 'INVALID_REQUEST', pointer: '#/names', says: /must be keras/ })
  })

  it.each([
    ['torchvision', 'layer1.1.conv2.weight', /is missing; \[3, 3, 3, 3\] is expected/],
    ['keras', 'conv2_block2_2_conv/kernel', /is missing; \[3, 3, 3, 3\] is expected/],
  ])('missing tensors, by their names in %s', async (names, tensor, says) => {
    const { metadata, tensors } = parseSafetensors(fileOf(names))
    // Counts are not float32, the only type that is written here.
    const kept = new Map(
      [...tensors].filter(([name, { shape: given }]) => name !== tensor && given.length > 0),
    )
    kept.set('surplus', { shape: [1], bytes: Buffer.alloc(4) })
    const answer = await load(writeSafetensors({ metadata, tensors: kept }))
    const pointer = `#/weights/${tensor.replaceAll('/', '~1')}`
    expectProblem(answer, { status: 422, code: 'INVALID_WEIGHTS', pointer, says })
    expect((answer.json as { errors: { pointer: string }[] }).errors.map((error) => error.pointer)).toEqual([
      '#/weights',
      pointer,
      '#/weights/surplus',
    ])
  })
})

describe('HDF5 for load_weights', () => {
  it('has the values of the safetensors file after its head', async () => {
    const { headers, bytes } = await running.client.get(pathOf(drawn.id, 'keras'), {
      accept: 'application/x-hdf5',
    })
    expect(headers['content-type']).toBe('application/x-hdf5')
    expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x89HDF\r\n\x1a\n')
    expect(Number(bytes.readBigUInt64LE(40))).toBe(bytes.length)
    const values = fileOf('keras').subarray(8 + Number(fileOf('keras').readBigUInt64LE()))
    expect(bytes.subarray(-values.length)).toEqual(values)
    const range = await running.client.get(pathOf(drawn.id, 'keras'), {
      accept: 'application/x-hdf5',
      range: 'bytes=-999',
    })
    expect([range.status, range.bytes]).toEqual([206, bytes.subarray(-999)])
  })
})
