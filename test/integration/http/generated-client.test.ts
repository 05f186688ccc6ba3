import { execFile } from 'node:child_process'
import { cp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Client, type ModelBody, type PredictionsBody } from '../../support/client.ts'
import { flowerJpeg } from '../../support/images.ts'
import { startProcess, type ServiceProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const README = await readFile(join(ROOT, 'openapi/examples/README.md'), 'utf8')

let folder: string
let running: ServiceProcess
let client: Client
let key: string
/** The examples are run from a copy of the checkout's root, as far as they need it. */
beforeAll(async () => {
  folder = await temporaryFolder()
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  // What somebody made by hand in the checkout proves nothing.
  const filter = (path: string) => !/examples\/(client|dist)$/.test(path)
  for (const path of ['package.json', 'openapi', 'test/fixtures'])
    await cp(join(ROOT, path), join(folder, path), { recursive: true, filter })
  await run(commandsOf('TypeScript')[0])

  running = await startProcess({ HOST: '0.0.0.0', DATA_DIR: join(folder, 'data') })
  key = String(running.log.find((entry) => 'key' in entry)?.['key'])
  client = new Client(running.client.url, { authorization: `Bearer ${key}` })
})
afterAll(async () => {
  await running.stop()
  await rm(folder, { recursive: true })
})

/** The blocks of commands under a heading of the examples' README. */
function commandsOf(heading: string): string[] {
  const section = README.split(/^## /m).find((text) => text.startsWith(heading)) ?? ''
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands = '']) => commands)
}

/** What commands print; rejects, with both outputs, where they fail. */
async function run(commands = 'exit 1', settings: NodeJS.ProcessEnv = {}): Promise<string> {
  const env = { ...process.env, ...settings }
  return (await promisify(execFile)('sh', ['-euc', commands], { cwd: folder, env })).stdout
}

const access = (): NodeJS.ProcessEnv => ({ RESINIT: running.client.url, RESINIT_KEY: key })

// A ResNet-18 is built and measured by whichever comes first, beside another file's tests.
describe('examples', { timeout: 180_000 }, () => {
  it.each(['curl', 'Python', 'TypeScript'])('%s: a model, a class, a verdict, weights', async (heading) => {
    const printed = await run(commandsOf(heading).at(-1), access())

    const model = (await client.get('/v1/models/example')).json as ModelBody
    expect(model.spec).toMatchObject({ seed: 7, initializers: { kernel: { class_name: 'HeNormal' } } })
    const answer = await client.upload('/v1/models/example/predict', flowerJpeg, 'image/jpeg')
    const [best] = (answer.json as PredictionsBody).predictions[0]?.classes ?? []
    const file = await readFile(join(folder, 'example.safetensors'))
    expect(file.equals((await client.get('/v1/models/example/weights')).bytes)).toBe(true)
    await rm(join(folder, 'example.safetensors'))
    expect(printed).toContain(`model ${model.id}\n`)
    expect(printed).toContain(String(best?.logit))
    expect(printed).toContain('verdict: every parameter is what he_normal promises\n')
    expect(printed).toContain(`weights: ${String(file.length)} bytes\n`)
  })

  it.each(['curl', 'Python', 'TypeScript'])('%s: prints the error of the service', async (heading) => {
    const refused = run(commandsOf(heading).at(-1), { ...access(), RESINIT_KEY: 'wrong' })
    await expect(refused).rejects.toMatchObject({ stderr: expect.stringContaining('send the key as') })
  })
})

describe('the generated client', () => {
  it('creates, uses and deletes a model', async () => {
    const command = 'node openapi/examples/dist/life-cycle.js test/fixtures/flower.jpg'
    const told = JSON.parse(await run(command, access())) as {
      readonly model: ModelBody
      readonly restored: ModelBody
      readonly classes: readonly PredictionsBody['predictions'][number]['classes'][]
      readonly verdicts: readonly { readonly name: string; readonly verdict: string }[]
    }
    expect(told).toMatchObject({
      accepted: 202,
      model: { state: 'ready', weights: 'initialized' },
      flagged: [],
      removed: 204,
      restored: { state: 'ready', weights: 'loaded', seal: told.model.seal },
      refusals: [
        { code: 'MODEL_NOT_FOUND' },
        { code: 'INVALID_REQUEST', errors: [{ pointer: '#/classes', detail: 'must be >= 1, got 0' }] },
      ],
    })
    const [asJson, asBytes] = told.classes
    expect(asJson).toHaveLength(5)
    expect(asBytes).toEqual(asJson)
    expect(told.verdicts).toContainEqual({ name: 'stage1/block1/conv1/kernel', verdict: 'fresh' })
    for (const { id } of [told.model, told.restored])
      expect((await client.get(`/v1/models/${id}`)).status).toBe(404)
  })

  it('is typed: invalid requests and missing response fields do not compile', async () => {
    const wrong = [
      "await createModel({ body: { architecture: 'resnet20', sede: 7 } })",
      "await getStatistics({ path: { model: 'net' }, query: { bins: '64' } })",
      "await fitInitializers({ body: { weights: 'none' } })",
      "await getWeights({ path: { model: 'net' } }).then(({ data }) => data?.sise)",
      "await getModel({ path: { model: 'net' } }).then(({ data }) => data?.sael)",
      "await getModel({ path: { model: 'net' } }).then(({ error }) => error?.cod)",
    ]
    const names = 'createModel, fitInitializers, getModel, getStatistics, getWeights'
    const program = [`import { ${names} } from './client/index.js'`, ...wrong].join('\n')
    await writeFile(join(folder, 'openapi/examples/wrong.ts'), program)
    const { stdout } = await run('npx tsc -p openapi/examples --noEmit').then(
      () => ({ stdout: '' }),
      (error: unknown) => error as { readonly stdout: string },
    )
    const lines = [...stdout.matchAll(/wrong\.ts\((\d+),\d+\): error TS/g)].map(([, line]) => Number(line))
    expect(lines, stdout).toEqual(wrong.map((_, index) => index + 2))
  })
})
