import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runPart, table } from '../lib/part.mjs'
import { createModel, megabytes, pidsOf, post, predict, startService } from '../lib/service.mjs'

/**
 * Memory of models: of all processes of the service without models, and after each was built and has computed
 * a batch of 8; and the growth of the engine with one more model of many kinds. Independent of other load on
 * the machine.
 */

/**
 * Networks from which the cost of a model was derived (`src/engine/footprint.ts`), and the number of
 * additional builds of each.
 */
const GROWTH = /** @type {const} */ ([
  ['1 block', small(1), 60],
  ['8 blocks', small(8), 30],
  ['32 blocks', small(32), 12],
  ['64 blocks', small(64), 8],
  ['4 wide blocks', small(4, 256), 5],
  ['resnet20', { architecture: 'resnet20' }, 20],
  ['resnet18', { architecture: 'resnet18' }, 4],
  ['resnet50', { architecture: 'resnet50' }, 4],
  ['resnet50, bfloat16', { architecture: 'resnet50', precision: 'bfloat16' }, 2],
  ['resnet152', { architecture: 'resnet152' }, 2],
  ['residual_network', { architecture: 'residual_network' }, 2],
])
const BATCH = 8
const MODELS = ['resnet18', 'resnet50', 'resnet50', 'resnet50', 'resnet152', 'residual_network']

await runPart('memory', { rounds: 1 }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'resinit-memory-'))
  const service = await startService(folder, {
    ...{ MEMORY_BUDGET_BYTES: String(1e11), REQUEST_TIMEOUT_MS: '600000' },
  })
  try {
    const images = batchOf(BATCH, [224, 224, 3])
    let held = await megabytes(service, 'VmRSS')
    const rows = [['none', held.toFixed(0), '']]
    for (const [seed, architecture] of MODELS.entries()) {
      const { id } = await createModel(service, { architecture, seed })
      await predict(service, id, images, 'application/x-npy')
      const now = await megabytes(service, 'VmRSS')
      rows.push([`one more ${architecture}`, now.toFixed(0), (now - held).toFixed(0)])
      held = now
    }
    const processes = table(['models', 'all processes, MB', 'increase'], rows)
    return `${processes}\n\n${await growth()}`
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/** Growth of the engine's own memory per additional model, beside the service's estimate. */
async function growth() {
  const rows = []
  for (const [name, specification, count] of GROWTH) {
    const folder = await mkdtemp(path.join(tmpdir(), 'resinit-memory-'))
    const service = await startService(folder, { ENGINES: '1', MEMORY_BUDGET_BYTES: String(1e11) })
    try {
      const { spec } = /** @type {{ spec: { architecture: { input_shape: number[] } } }} */ (
        await (await post(service, '/v1/plans', specification)).json()
      )
      const images = batchOf(BATCH, spec.architecture.input_shape)
      /** @param {number} seed */
      const add = async (seed) => {
        const { id } = await createModel(service, { ...specification, seed })
        await predict(service, id, images, 'application/x-npy')
      }
      await add(0)
      const before = { held: await engineBytes(service), counted: await countedBytes(service) }
      for (let seed = 1; seed <= count; seed += 1) await add(seed)
      const more = (/** @type {number} */ after, /** @type {number} */ first) =>
        ((after - first) / count / 2 ** 20).toFixed(1)
      rows.push([
        name,
        more(await engineBytes(service), before.held),
        more(await countedBytes(service), before.counted),
      ])
    } finally {
      await service.stop()
      await rm(folder, { recursive: true })
    }
  }
  return table(['one more model', 'growth of the engine, MiB', 'counted, MiB'], rows)
}

/** Anonymous memory of the engine's process. @param {import('../lib/service.mjs').Service} service */
async function engineBytes({ pid }) {
  for (const one of await pidsOf(pid)) {
    const command = await readFile(`/proc/${String(one)}/cmdline`, 'utf8')
    if (!command.includes('engine/child')) continue
    const status = await readFile(`/proc/${String(one)}/status`, 'utf8')
    return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1])
  }
  throw new Error('there is no engine')
}

/** @param {import('../lib/service.mjs').Service} service */
async function countedBytes({ url }) {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^resinit_resident_bytes (\S+)$/m.exec(text)?.[1])
}

/** A network of 8x8 images. @param {number} blocks @param {number} [filters] */
function small(blocks, filters = 4) {
  const stem = { kernel_size: 3, filters, strides: 1, pool: null }
  return { architecture: { stem, stages: [{ blocks, filters }], input_shape: [8, 8, 3] }, classes: 5 }
}

/**
 * Grey images as npy, uint8.
 * @param {number} count
 * @param {readonly number[]} shape
 */
function batchOf(count, shape) {
  const sizes = [count, ...shape]
  const about = `{'descr': '|u1', 'fortran_order': False, 'shape': (${sizes.join(', ')}), }`
  const text = `${about.padEnd(117)}\n`
  const head = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, text.length, 0])
  const pixels = Buffer.alloc(
    sizes.reduce((product, size) => product * size, 1),
    128,
  )
  return Buffer.concat([head, Buffer.from(text, 'latin1'), pixels])
}
