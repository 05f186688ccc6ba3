import { readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Analysis } from '../../../src/analysis/contract.ts'
import { startAnalysis } from '../../../src/analysis/client/analysis-process.ts'
import type { Engine } from '../../../src/engine/contract.ts'
import { estimateFootprint } from '../../../src/engine/footprint.ts'
import { startEngine } from '../../../src/engine/client/engine-process.ts'
import { planRequest } from '../../../src/network/plan.ts'
import { Quarantine } from '../../../src/serving/prediction/quarantine.ts'
import { Registry } from '../../../src/serving/models/registry.ts'
import { Store } from '../../../src/serving/models/store.ts'
import { noTracing } from '../../../src/telemetry/tracing.ts'
import { kill } from '../../support/halt.ts'
import { tiny } from '../../support/networks.ts'
import { temporaryFolder } from '../../support/service.ts'
import { refusalOf } from '../../unit/support/errors.ts'
import { stagedIn } from '../../support/staging.ts'

const logger = pino({ level: 'silent' })
const planOf = (seed: number) => planRequest({ ...tiny, seed } as Parameters<typeof planRequest>[0], 1e6)
const [first, second, third] = [planOf(1), planOf(2), planOf(3)]

let engine: Engine
let analysis: Analysis
beforeAll(async () => {
  const onLost = () => {
    registry.engineLost()
  }
  engine = startEngine({ logger, onLost, timeoutMs: 60_000 })
  analysis = startAnalysis({ logger, maxQueue: 64 })
  await Promise.all([engine.info(), analysis.ready()])
})
afterAll(() => Promise.all([engine.close(), analysis.close()]))

let folder: string
let store: Store
let registry: Registry
beforeEach(async () => {
  folder = await temporaryFolder()
  store = await Store.open(folder)
  registry = start()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await registry.settled()
  await rm(folder, { recursive: true })
})

const served = (): Promise<void> => Promise.resolve()

function start(memoryBudgetBytes = 1e9): Registry {
  const quarantine = new Quarantine({ onQuarantine: () => undefined })
  const tracing = noTracing
  return new Registry({
    engine,
    analysis,
    store,
    quarantine,
    memoryBudgetBytes,
    drained: served,
    logger,
    tracing,
  })
}

/** A gate that blocks callers until it is opened. */
function gate() {
  let open = (): void => undefined
  let reach = (): void => undefined
  const opened = new Promise<void>((resolve) => (open = resolve))
  const reached = new Promise<void>((resolve) => (reach = resolve))
  const pass = async (): Promise<void> => {
    reach()
    await opened
  }
  return { open, reached, pass }
}

/** Delays a call until a gate is opened. */
function late<A extends unknown[], R>(call: (...given: A) => Promise<R>) {
  const { pass, ...gates } = gate()
  const waits = async (...given: A): Promise<R> => {
    await pass()
    return call(...given)
  }
  return { waits, ...gates }
}

/** The models and names that a new service would find. */
async function stored(): Promise<[string, string[]][]> {
  const fresh = start()
  await fresh.load()
  await fresh.close()
  return fresh.list().map(({ record: { id } }) => [id, fresh.listNames(id)])
}

async function created(plan = first, name?: string): Promise<void> {
  await (
    await registry.create(plan, { name })
  ).ready
}

describe('a deleted model', () => {
  test('that is created again stays, with its new name', async () => {
    await created(first, 'old')
    const { waits, open, reached } = late(store.remove.bind(store))
    vi.spyOn(store, 'remove').mockImplementationOnce(waits)
    const deleted = registry.delete(first.id)
    await reached
    const again = created(first, 'new')
    open()
    await Promise.all([deleted, again])
    await registry.settled()
    expect(registry.find('new').state).toBe('ready')
    expect(await stored()).toEqual([[first.id, ['new']]])
  })

  test('keeps a name that has moved to another model', async () => {
    await created(second)
    await created(first, 'moves')
    await registry.setName('moves-too', first.id)
    const { waits, open, reached } = late(store.names.remove.bind(store.names))
    vi.spyOn(store.names, 'remove').mockImplementationOnce(waits)
    const deleted = registry.delete(first.id)
    await reached
    const moved = Promise.all([
      registry.setName('moves', second.id),
      registry.setName('moves-too', second.id),
    ])
    open()
    await Promise.all([deleted, moved])
    expect(registry.listNames(second.id).sort()).toEqual(['moves', 'moves-too'])
    expect((await stored()).map(([id, names]) => [id, names.sort()])).toEqual([
      [second.id, ['moves', 'moves-too']],
    ])
  })

  test('is removed from the engine, also during its build', async () => {
    const { waits, open, reached } = late(engine.build.bind(engine))
    vi.spyOn(engine, 'build').mockImplementationOnce(waits)
    const unload = vi.spyOn(engine, 'unload')
    const { ready } = await registry.create(first)
    await reached
    const deleted = registry.delete(first.id)
    open()
    await Promise.all([deleted, ready])
    await registry.settled()
    expect(unload).toHaveBeenCalledWith(first.id)
    expect((await refusalOf(registry.ensureReady(first.id))).code).toBe('MODEL_NOT_FOUND')
    expect(await stored()).toEqual([])
  })

  test('stays if the store cannot remove it', async () => {
    await created(first, 'name')
    const [models, away] = [join(folder, 'models'), join(folder, 'away')]
    await rename(models, away)
    expect((await refusalOf(registry.delete(first.id))).code).toBe('STORAGE_FAILED')
    expect(registry.find(first.id).state).toBe('ready')
    await rename(away, models)
    await registry.delete(first.id)
    expect(await stored()).toEqual([])
  })
})

test('a digest that could not be written is null, and the model can be created again', async () => {
  const keep = store.keep.bind(store)
  const [models, away] = [join(folder, 'models'), join(folder, 'away')]
  const unwritten = async (...given: Parameters<typeof keep>) => {
    if (given[1] !== 'weights_sha256') return keep(...given)
    await rename(models, away)
    await writeFile(models, 'a file has taken the place of the folder')
    try {
      return await keep(...given)
    } finally {
      await rm(models)
      await rename(away, models)
    }
  }
  vi.spyOn(store, 'keep').mockImplementation(unwritten)
  await created(first, 'name')
  await registry.settled()
  expect(registry.find(first.id).record.weights_sha256).toBeNull()
  vi.restoreAllMocks()
  await created(first, 'again')
  expect(registry.listNames(first.id)).toEqual(['name', 'again'])
})

test('an engine crash while a seal is stored leaves no model ready', async () => {
  const { pass, open, reached } = gate()
  const keep = store.keep.bind(store)
  const late = async (...given: Parameters<typeof keep>) => {
    if (given[1] === 'seal') await pass()
    return keep(...given)
  }
  vi.spyOn(store, 'keep').mockImplementation(late)
  const { ready } = await registry.create(first)
  await reached
  const { restarts } = engine
  kill(engine.pid)
  await vi.waitUntil(() => engine.restarts > restarts, { interval: 5, timeout: 30_000 })
  open()
  expect((await refusalOf(ready)).code).toBe('ENGINE_CRASHED')
  await created()
  expect(registry.find(first.id).state).toBe('ready')
})

test('concurrent builds share the memory budget', async () => {
  registry = start(2 * estimateFootprint(first))
  await created(third)
  const { waits, open, reached } = late(engine.build.bind(engine))
  vi.spyOn(engine, 'build').mockImplementation(waits)
  const both = Promise.all([created(first), created(second)])
  await reached
  open()
  await both
  expect(registry.find(third.id).state).toBe('unloaded')
})

test('staged weights are stored or discarded in every case', async () => {
  const staged = () => store.createTemp(Readable.from([Buffer.from('weights')]))
  const invalid = await refusalOf(registry.create(first, { name: 'a'.repeat(101), weights: await staged() }))
  expect(invalid.code).toBe('INVALID_REQUEST')
  expect(await stagedIn(folder)).toEqual([])
  await registry.create(first, { weights: await staged() })
  await registry.create(first, { weights: await staged() })
  expect(await stagedIn(folder)).toEqual([])
  expect(await readdir(join(folder, 'models', first.id))).toContain('weights.safetensors')
})
