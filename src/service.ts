import type { FastifyInstance } from 'fastify'
import { pino, type Logger } from 'pino'
import { startAnalysis } from './analysis/process.ts'
import type { Config } from './config.ts'
import { startPool } from './engine/pool.ts'
import { startEngine } from './engine/process.ts'
import type { Engine } from './engine/engine.ts'
import { ServiceError } from './errors.ts'
import { requiredKey } from './http/access.ts'
import { buildApp } from './http/app.ts'
import { gpus, processors } from './machine.ts'
import { Batcher } from './serving/batcher.ts'
import { Registry } from './serving/registry.ts'
import { Store } from './serving/store.ts'

export interface Service {
  readonly app: FastifyInstance
  readonly logger: Logger
  readonly engine: Engine
  /** The key callers must send; undefined where anyone may call. */
  readonly key: string | undefined
  /** Resolves when the engine and the analysis have answered; rejects with a sentence where they cannot. */
  started(): Promise<void>
  /** From here on /readyz says no; everything else is still served. */
  drain(): void
  close(): Promise<void>
}

/** Puts the parts together: the only place that knows them all. Nothing listens yet. Whoever builds it closes it. */
export async function buildService(config: Config): Promise<Service> {
  const logger = pino({ level: config.LOG_LEVEL, redact: ['req.headers'] })
  const store = await Store.open(config.DATA_DIR)
  let started = false
  let draining = false

  const visible = gpus()
  const engines = config.ENGINES > 0 ? config.ENGINES : Math.max(1, visible.length)
  const threads = processors()
  const engine = startPool(
    Array.from({ length: engines }, (_, index) => visible[index % visible.length]),
    // Engines on the CPU share it.
    (gpu, onLost) =>
      startEngine({
        logger,
        gpu,
        threads: gpu === undefined ? Math.ceil(threads / engines) : threads,
        onLost,
      }),
    (id) => {
      registry.engineLost(id)
    },
  )
  const analysis = startAnalysis(logger)
  const registry = new Registry({
    engine,
    analysis,
    store,
    memoryBudgetBytes: config.MEMORY_BUDGET_BYTES,
    logger,
  })
  await registry.load()
  const batcher = new Batcher({
    engine,
    maxBatchSize: config.MAX_BATCH_SIZE,
    maxQueue: config.MAX_QUEUE,
    ensureReady: (id) => registry.ensureReady(id),
    lost: (id) => {
      registry.engineLost(id)
    },
  })
  const key = requiredKey(config)
  const app = await buildApp({
    config,
    logger,
    engine,
    analysis,
    store,
    registry,
    batcher,
    key,
    notReady: () => {
      if (draining) return new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
      if (started && engine.ready) return undefined
      return new ServiceError('ENGINE_UNAVAILABLE', `the engine is ${started ? 'restarting' : 'starting'}`)
    },
  })

  return {
    app,
    logger,
    engine,
    key,
    started: async () => {
      await Promise.all([engine.info(), analysis.ready()])
      started = true
    },
    drain: () => {
      draining = true
    },
    close: async () => {
      try {
        await app.close()
        await registry.settled()
      } finally {
        await Promise.all([engine.close(), analysis.close()])
      }
    },
  }
}
