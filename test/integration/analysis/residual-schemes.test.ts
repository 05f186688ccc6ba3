import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Static } from 'typebox'
import type { ModelStatistics, Plan, ResidualSchemeList } from '../../../src/http/shared/model-schemas.ts'
import { schemeNames } from '../../../src/network/schemes.ts'
import type { ModelBody } from '../../support/client.ts'
import { whileHalted } from '../../support/halt.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectProblem } from '../../support/problems.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

const plain = { ...tiny, architecture: { ...tiny.architecture, norm: 'none' } }
const unit = { ...plain, residual_scheme: 'lsuv', seed: 4 }
type Schemes = Static<typeof ResidualSchemeList>
type Statistics = Static<typeof ModelStatistics>

describe('residual schemes', () => {
  let running: RunningService
  beforeAll(async () => {
    running = await startService()
  })
  afterAll(() => running.close())

  it('are listed, and each is rejected with an incompatible norm', async () => {
    const { client } = running
    const { residual_schemes } = (await client.get('/v1/residual-schemes')).json as Schemes
    expect(residual_schemes.map(({ name }) => name)).toEqual(schemeNames.filter((name) => name !== 'none'))
    for (const { name, norm, versions, paper } of residual_schemes) {
      const spec = (type: string, version: string) => ({
        ...{ ...tiny, architecture: { ...tiny.architecture, norm: type, version }, residual_scheme: name },
      })
      for (const version of ['v1', 'v1.5', 'v2']) {
        const answer = await client.post('/v1/plans', spec(norm, version))
        expect(answer.status, `${name} ${version}`).toBe(versions.includes(version) ? 200 : 422)
      }
      const refused = await client.post('/v1/models', spec(norm === 'batch' ? 'none' : 'batch', 'v1.5'))
      const problem = { status: 422, code: 'INVALID_REQUEST', pointer: '#/residual_scheme' } as const
      expect(expectProblem(refused, problem).detail).toContain(paper)
    }
  })

  it('are visible in records: constants, and factors that theory includes', async () => {
    const { client } = running
    const architecture = { ...plain.architecture, stages: [{ blocks: 4, filters: 16 }] }
    const { id, scheme } = await client.create({ ...plain, architecture, residual_scheme: 'fixup' })
    expect(scheme).toMatchObject({ name: 'fixup', measured: null })
    const { parameters } = (await client.get(`/v1/models/${id}/statistics`)).json as Statistics
    const record = (name: string) => parameters.find((parameter) => parameter.name === name)
    const first = record('stage1/block2/conv1/kernel')
    // He by fan_out has variance 2 / (9 * 16); four blocks of two convolutions halve the deviation.
    expect(first?.factor).toBe(0.5)
    expect(first?.theory?.variance).toBeCloseTo(2 / (9 * 16) / 4, 12)
    expect(Math.abs(Number(first?.tests?.variance_z))).toBeLessThan(5)
    expect(record('stage1/block2/conv2/kernel')).toMatchObject({
      exact: true,
      sample: { zeros: 9 * 16 * 16 },
    })
    expect(record('stage1/block1/scale/multiplier')).toMatchObject({ exact: true, sample: { mean: 1 } })
    expect(record('stage1/block1/shift1a/offset')).toMatchObject({
      exact: true,
      shape: [1],
      sample: { mean: 0 },
    })
    const plan = (await client.post('/v1/plans', { ...plain, architecture, residual_scheme: 'fixup' })).json
    const layers = new Map((plan as Static<typeof Plan>).layers.map((layer) => [layer.name, layer]))
    expect(layers.get('stage1/block2/conv1')?.parameters[0]).toMatchObject({ factor: 0.5 })
    expect(layers.get('stage1/block1/scale')).toMatchObject({ op: 'scale', multiply_adds: 0 })
  })

  it.each(['zero_gamma', 'skipinit', 'rezero'])('%s starts with branches that add zero', async (scheme) => {
    const { client } = running
    const shape = [1, 8, 8, 3]
    const base = scheme === 'zero_gamma' ? tiny : plain
    const logits = async (residual_scheme: string, initializer: string) => {
      const overrides = [{ match: 'stage1/**/conv*/kernel', initializer }]
      const { id } = await client.create({ ...base, residual_scheme, initializers: { overrides } })
      return client.logits(id, shape, arithmeticImage(shape))
    }
    // No parameter of a branch affects the logits, unless the scheme is none.
    expect(await logits(scheme, 'he_normal')).toEqual(await logits(scheme, 'lecun_uniform'))
    expect(await logits('none', 'he_normal')).not.toEqual(await logits('none', 'lecun_uniform'))
  })

  describe('lsuv with images', () => {
    const image = (seed: number): Promise<Buffer> =>
      sharp(Buffer.from(arithmeticImage([8, 8, 3], seed)), { raw: { width: 8, height: 8, channels: 3 } })
        .png()
        .toBuffer()
    const send = async (spec: object | undefined, seeds: readonly number[], name = 'images') =>
      running.client.form('/v1/models', [
        ...(spec ? [{ name: 'spec', value: JSON.stringify(spec) }] : []),
        ...(await Promise.all(
          seeds.map(async (seed) => ({ name, value: await image(seed), filename: 'a.png' })),
        )),
      ])

    it('uses them for measuring, and they are part of the id', async () => {
      const { client } = running
      const given = await send({ ...unit, name: 'imaged' }, [0, 1, 2])
      const model = given.json as ModelBody
      expect([given.status, model.state]).toEqual([201, 'ready'])
      for (const { variance } of model.scheme?.measured ?? [])
        expect(Math.abs(variance - 1)).toBeLessThan(0.01)
      const again = await send(unit, [0, 1, 2])
      expect([again.status, (again.json as ModelBody).id]).toEqual([200, model.id])
      const ids = [
        (await client.create(unit)).id,
        ((await send(unit, [7, 8])).json as ModelBody).id,
        model.id,
      ]
      expect(new Set(ids).size).toBe(3)
      const digests = await Promise.all(ids.map(async (id) => (await client.withDigest(id)).weights_sha256))
      expect(new Set(digests).size).toBe(3)
    })

    it('exports a file that restores it', async () => {
      const { client } = running
      const { weights_sha256 } = await client.withDigest('imaged')
      const { bytes } = await client.get('/v1/models/imaged/weights')
      const restored = await client.form('/v1/models', [
        { name: 'weights', value: bytes, filename: 'w.safetensors' },
      ])
      const { id, weights, scheme } = restored.json as ModelBody
      expect([weights, scheme?.measured]).toEqual(['loaded', null])
      expect((await client.withDigest(id)).weights_sha256).toBe(weights_sha256)
      const shape = [1, 8, 8, 3]
      const [given, loaded] = await Promise.all(
        ['imaged', id].map((model) => client.logits(model, shape, arithmeticImage(shape))),
      )
      expect(loaded).toEqual(given)
    })

    it.each([
      ['beside another scheme', plain, [1], 'images', '#/images', /residual_scheme": "lsuv"/],
      ['without a specification', undefined, [1], 'images', '#/images', /comes too late/],
      ['under another name', unit, [1], 'image', '#/image', /is not a part of this form/],
      ['in a form without images', unit, [], 'images', '#/weights', /is required/],
    ] as const)('are rejected %s', async (_, spec, seeds, name, pointer, says) => {
      expectProblem(await send(spec, seeds, name), { status: 422, code: 'INVALID_REQUEST', pointer, says })
    })

    it('are rejected if they are too many, or not images', async () => {
      const large = { ...unit, architecture: { ...unit.architecture, input_shape: [1000, 1000, 3] } }
      expectProblem(await send(large, [1, 2]), {
        status: 422,
        code: 'INVALID_REQUEST',
        says: /at most 1 of 1000x1000/,
      })
      const form = [
        { name: 'spec', value: JSON.stringify(unit) },
        { name: 'images', value: Buffer.from('none'), filename: 'a.png' },
      ]
      const refused = await running.client.form('/v1/models', form)
      expectProblem(refused, { status: 422, code: 'INVALID_IMAGE', pointer: '#/images/0' })
    })
  })

  it('lsuv reports its factors in records, and keeps kernels without output variance', async () => {
    const { client } = running
    const spec = { ...unit, seed: 77 }
    const zeros = { ...unit, initializers: { kernel: 'zeros' } }
    const { id } = await client.create(spec)
    const { parameters } = (await client.get(`/v1/models/${id}/statistics?parameters=**/kernel`))
      .json as Statistics
    const { scheme } = (await client.get(`/v1/models/${id}`)).json as ModelBody
    for (const { kernel, factor } of scheme?.measured ?? []) {
      const record = parameters.find(({ name }) => name === kernel)
      const [rows, columns] = [record?.fan_in ?? 0, record?.shape.at(-1) ?? 0]
      expect([record?.factor, record?.theory?.std]).toEqual([
        factor,
        expect.closeTo(factor / Math.sqrt(Math.max(rows, columns)), 12),
      ])
    }
    const flat = await client.create(zeros)
    expect(flat.scheme?.measured?.map(({ factor, variance }) => [factor, variance])).toEqual(
      parameters.map(() => [1, 0]),
    )
  })

  it('lsuv rejects kernels whose outputs overflow float32', async () => {
    const kernel = { class_name: 'RandomNormal', config: { stddev: 1e30 } }
    const refused = await running.client.post('/v1/models', { ...unit, initializers: { kernel } })
    expectProblem(refused, {
      status: 422,
      code: 'INVALID_REQUEST',
      pointer: '#/initializers',
      says: /stem\/conv\/kernel/,
    })
  })
})

describe("lsuv's factors", () => {
  let folder: string
  let running: ServiceProcess
  beforeAll(async () => {
    folder = await temporaryFolder()
  })
  afterAll(() => rm(folder, { recursive: true }))
  const restart = async (): Promise<void> => {
    running = await startProcess({ DATA_DIR: folder })
  }
  const shape = [1, 8, 8, 3]
  const known = async (id: string) => ({
    logits: await running.client.logits(id, shape, arithmeticImage(shape)),
    model: await running.client.withDigest(id),
  })

  it('are kept over a restart, measured again if lost, and required before weights are read', async () => {
    await restart()
    const { id } = await running.client.create(unit)
    const before = await known(id)
    await whileHalted(running.workers.get('analysis'), async () => {
      const prefer = { prefer: 'respond-async' }
      const begun = (await running.client.post('/v1/models', { ...unit, seed: 5 }, prefer)).json as ModelBody
      expect([begun.state, begun.scheme?.measured]).toEqual(['building', null])
      const early = await running.client.get(`/v1/models/${begun.id}/statistics`)
      expectProblem(early, { status: 503, code: 'MODEL_NOT_READY', says: /measured/ })
    })
    await running.stop()

    const file = join(folder, 'models', id, 'measured.json')
    const measured = JSON.parse(await readFile(file, 'utf8')) as { factor: number }[]
    expect(measured).toEqual(before.model.scheme?.measured)
    for (const lost of [false, true]) {
      if (lost) await rm(file)
      await restart()
      const after = await known(id)
      expect(after.logits).toEqual(before.logits)
      expect([after.model.seal, after.model.weights_sha256]).toEqual([
        before.model.seal,
        before.model.weights_sha256,
      ])
      expect(after.model.scheme).toEqual(before.model.scheme)
      await running.stop()
    }

    // A changed factor gives another network: the seal differs, and the model is not served.
    const [first, ...others] = measured
    await writeFile(file, JSON.stringify([{ ...first, factor: 3 }, ...others]))
    await restart()
    const refused = await running.client.get(`/v1/models/${id}`)
    expect((refused.json as ModelBody).state).toBe('unloaded')
    const path = `/v1/models/${id}/predict`
    const pixels = await sharp(Buffer.from(arithmeticImage(shape)), {
      raw: { width: 8, height: 8, channels: 3 },
    })
      .png()
      .toBuffer()
    expectProblem(await running.client.upload(path, pixels, 'image/png'), {
      status: 500,
      code: 'WEIGHTS_DIVERGED',
    })
    await running.stop()
  })
})
