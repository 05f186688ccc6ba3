import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tiny } from '../../support/networks.ts'
import { ROOT, runPageCommands, runToEnd } from '../../support/page-commands.ts'
import { parseSafetensors, writeSafetensors } from '../../support/safetensors.ts'
import { startService, temporaryFolder, type RunningService } from '../../support/service.ts'

const PROGRAM = join(ROOT, 'dist/cli/verify.js')
const networks = {
  plain: {
    ...tiny,
    seed: 3,
    initializers: { kernel: 'he_normal', gamma: 'normal', dense_kernel: 'orthogonal' },
  },
  /** Laws that TensorFlow alone does not draw. */
  own: {
    ...tiny,
    initializers: { kernel: 'convolutional_orthogonal_2d', dense_kernel: 'trunc_normal_' },
  },
  fixup: { ...tiny, architecture: { ...tiny.architecture, norm: 'none' }, residual_scheme: 'fixup' },
  lsuv: { ...tiny, architecture: { ...tiny.architecture, norm: 'none' }, residual_scheme: 'lsuv' },
  keras: { ...tiny, seeding: 'keras', seed: 11 },
}

let running: RunningService
let folder: string
beforeAll(async () => {
  running = await startService()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

const verify = (...words: string[]) => runToEnd(process.execPath, [PROGRAM, ...words])
const modelUrl = (name: string) => `${running.client.url}/v1/models/${name}`

async function write(name: string, content: object | Buffer): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, Buffer.isBuffer(content) ? content : JSON.stringify(content))
  return path
}

async function downloadWeights(name: string): Promise<Buffer> {
  return (await running.client.get(`/v1/models/${name}/weights`)).bytes
}

it.each(Object.entries(networks))(
  '%s: a model agrees with its request, its record and its weights',
  async (name, network) => {
    const { client } = running
    const { id } = await client.create({ ...network, name })
    const record = await client.withDigest(id)
    const request = await write(`${name}.json`, network)
    const line = `agrees: id ${id}, weights_sha256 ${record.weights_sha256}, `
    for (const words of [
      [request, '--url', modelUrl(name)],
      [await write(`${name}-record.json`, record)],
      [request, '--weights', await write(`${name}.safetensors`, await downloadWeights(name))],
    ]) {
      const { code, stdout } = await verify(...words)
      expect([code, stdout.slice(0, line.length)]).toEqual([0, line])
      expect(stdout.trimEnd().split('\n')).toHaveLength(1)
    }
  },
)

describe('differences', () => {
  beforeAll(async () => {
    await running.client.create({ ...networks.plain, name: 'plain' })
    await write('plain.json', networks.plain)
    await write('plain.safetensors', await downloadWeights('plain'))
  })
  const path = (name: string) => join(folder, name)

  it('one changed bit is found, in a buffer too', async () => {
    const { metadata, tensors } = parseSafetensors(await readFile(path('plain.safetensors')))
    const changed = new Map(
      [...tensors].map(([name, { shape, bytes }]) => [name, { shape, bytes: Buffer.from(bytes) }]),
    )
    for (const [name, at] of [
      ['stage1/block1/conv1/kernel', 4 * 17],
      ['stem/norm/moving_variance', 0],
    ] as const) {
      const bytes = changed.get(name)?.bytes
      bytes?.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    }
    const file = await write('changed.safetensors', writeSafetensors({ metadata, tensors: changed }))
    const { code, stdout } = await verify(path('plain.json'), '--weights', file)
    expect(code).toBe(1)
    expect(stdout.split('\n')).toEqual([
      'stem/norm/moving_variance: 1 of 4 values differ, the first at 0: expected 1, got 1.00000012',
      expect.stringMatching(
        /^stage1\/block1\/conv1\/kernel: 1 of 144 values differ, the first at 17: expected -?[\d.e-]+, got -?[\d.e-]+$/,
      ),
      '',
    ])
  })

  it('another seed changes the id, the digest and every drawn parameter', async () => {
    const request = await write('eight.json', { ...networks.plain, seed: 8 })
    const { code, stdout } = await verify(request, '--url', modelUrl('plain'))
    expect(code).toBe(1)
    const fields = stdout.trimEnd().split('\n')
    expect(fields.slice(0, 2).map((line) => line.split(':')[0])).toEqual(['id', 'weights_sha256'])
    expect(fields).toContainEqual(expect.stringMatching(/^head\/dense\/kernel: expected \w{64}, got \w{64}$/))
    expect(fields.filter((line) => line.includes('beta'))).toEqual([])
  })

  it('missing, extra and misshapen tensors are named', async () => {
    const { metadata, tensors } = parseSafetensors(await readFile(path('plain.safetensors')))
    const others = new Map([...tensors, ['extra', { shape: [1], bytes: Buffer.alloc(4) }]])
    others.delete('head/dense/bias')
    others.set('stem/norm/beta', { shape: [2, 2], bytes: Buffer.alloc(16) })
    const file = await write('others.safetensors', writeSafetensors({ metadata, tensors: others }))
    const { code, stdout } = await verify(path('plain.json'), '--weights', file)
    expect([code, ...stdout.trimEnd().split('\n')]).toEqual([
      1,
      'stem/norm/beta: expected F32 [4], got F32 [2, 2]',
      'head/dense/bias: expected F32 [5], got no such tensor',
      'extra: expected no such tensor, got F32 [1]',
    ])
  })

  it('of loaded weights are found in the id', async () => {
    const { client } = running
    const weights = await readFile(path('plain.safetensors'))
    const parts = [
      { name: 'spec', value: JSON.stringify({ ...networks.plain, name: 'loaded' }) },
      { name: 'weights', value: weights, filename: 'weights.safetensors' },
    ]
    expect((await client.form('/v1/models', parts)).status).toBe(201)
    const record = await write('loaded.json', await client.withDigest('loaded'))
    expect(await verify(record, '--weights', path('plain.safetensors'))).toMatchObject({ code: 0 })
    expect(await verify(record, '--weights', path('changed.safetensors'))).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^id: .*\nweights_sha256: .*\n$/),
    })
    expect(await verify(record)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('verify the record with --weights'),
    })
  })
})

it.each([
  [[], 'give one file with a specification or a record\nUsage: npm run -s verify -- SPEC.json'],
  [['absent.json'], 'absent.json cannot be read (ENOENT'],
  [['a.json', '--weights', 'b', '--url', 'c'], 'give --weights or --url, not both'],
  [['a.json', '--weight', 'b'], "Unknown option '--weight'"],
])('wrong usage %j exits with 2 and the cure', async (words, message) => {
  const { code, stdout, stderr } = await verify(...words)
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain(message)
})

it('invalid specifications and unusable sources exit with 2 and the cure', async () => {
  const { url } = running.client
  const request = await write('some.json', networks.plain)
  const unknown = await write('unknown.json', { architecture: 'resnet21' })
  for (const [words, message] of [
    [[unknown], 'did you mean "resnet20"?'],
    [[await write('list.json', [])], 'is not a JSON object; give a specification or a record'],
    [[request], 'There is nothing to compare: give a record instead of the request, or --weights, or --url.'],
    [[request, '--weights', unknown], 'give a safetensors file that /weights of a model returns'],
    [[request, '--url', `${url}/v1/models/absent`], 'give a model of a running service'],
  ] as const) {
    const { code, stderr } = await verify(...words)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  }
})

it('the commands of docs/verify.md print what it shows', async () => {
  const own = await temporaryFolder()
  const count = await runPageCommands('docs/verify.md', 'test/integration/cli/verify.test.ts', {
    folder: own,
    env: { RESINIT: running.client.url },
    replace: (command) => command.replaceAll('npm run -s verify --', `'${process.execPath}' '${PROGRAM}'`),
  })
  expect(count).toBe(4)
  await rm(own, { recursive: true })
})
