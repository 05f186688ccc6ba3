import type { FastifyInstance } from 'fastify'
import { pino, type Logger } from 'pino'
import { startAnalysis } from './analysis/client/analysis-process.ts'
import type { Config } from './config.ts'
import { startTwoProcessEngine } from './engine/client/two-process-engine.ts'
import type { Engine } from './engine/contract.ts'
import { startPool } from './engine/client/engine-pool.ts'
import { startEngine } from './engine/client/engine-process.ts'
import { ServiceError } from './common/errors.ts'
import { buildApp } from './http/app.ts'
import { Keyring } from './http/shared/keyring.ts'
import { ImageDecoder } from './images/client/image-decoder.ts'
import { gpus, processors } from './common/platform.ts'
import { Metrics } from './telemetry/metrics.ts'
import { Admission } from './serving/prediction/admission.ts'
import { BadEntries } from './serving/models/bad-entries.ts'
import { Batcher } from './serving/prediction/batcher.ts'
import { Experiments } from './serving/experiments/experiment-runner.ts'
import { preload, readPreload as readSpecifications, type Preloaded } from './serving/models/preload.ts'
import { Quarantine } from './serving/prediction/quarantine.ts'
import { Registry } from './serving/models/registry.ts'
import { Store } from './serving/models/store.ts'
import { Usage } from './serving/prediction/usage.ts'
import { noTracing, type Tracing } from './telemetry/tracing.ts'

export interface Service {
  readonly app: FastifyInstance
  readonly logger: Logger
  readonly engine: Engine
  /** The key that was made at this start, for want of others; undefined where none was. */
  readonly key: string | undefined
  /** Resolves when the engine, the analysis and a decoder have answered; rejects with a sentence where they cannot. */
  started(): Promise<void>
  /** Creates the models that are to be there from the start; before they are ready nobody sends requests here. */
  preload(): Promise<void>
  /** Whether they have: before that nobody sends requests here. */
  readonly isStarted: boolean
  /** From here on /readyz says no; everything else is still served. */
  drain(): void
  close(): Promise<void>
}

/** What is to be there from the start, read and checked; throws a sentence where something in it is wrong. */
export async function readPreload({ PRELOAD, MAX_MODEL_PARAMETERS }: Config): Promise<Preloaded[]> {
  return PRELOAD === undefined ? [] : readSpecifications(PRELOAD, MAX_MODEL_PARAMETERS)
}

/** Puts the parts together: the only place that knows them all. Nothing listens yet. Whoever builds it closes it. */
export async function buildService(config: Config, preloaded: readonly Preloaded[] = []): Promise<Service> {
  const logger = pino({ level: config.LOG_LEVEL, redact: ['req.headers'] })
  const badEntries = new BadEntries(logger)
  const store = await Store.open(config.DATA_DIR, badEntries)
  const keyring = await Keyring.open(config, logger)
  const tracing = await openTracing(config, logger)
  let started = false
  let draining = false
  const awaited = new Set(preloaded.map(({ name }) => name))

  const engine = startEngines(config, logger, (id) => {
    registry.engineLost(id)
  })
  const quarantine = new Quarantine({
    onQuarantine: (id, refusal) => {
      registry.quarantined(id, refusal)
    },
  })
  const analysis = startAnalysis({
    logger,
    maxQueue: config.MAX_ANALYSIS_QUEUE,
    timeoutMs: config.ANALYSIS_TIMEOUT_MS,
  })
  const decoder = new ImageDecoder({
    logger,
    processes: processors(),
    timeoutMs: config.IMAGE_TIMEOUT_MS,
    memoryBytes: config.IMAGE_MEMORY_BYTES,
  })
  const experiments = new Experiments(analysis, logger)
  const admission = new Admission({ maxImages: config.MAX_QUEUE, maxBytes: config.MAX_QUEUE_BYTES })
  const registry = new Registry({
    engine,
    analysis,
    store,
    quarantine,
    memoryBudgetBytes: config.MEMORY_BUDGET_BYTES,
    drained: (id) => admission.drained(id),
    logger,
    tracing,
  })
  try {
    await registry.load()
  } catch (error) {
    keyring.close()
    await Promise.all([engine.close(), analysis.close(), tracing.close(), store.close()])
    throw error
  }
  const metrics = new Metrics({
    queueImages: () => admission.images,
    queueBytes: () => admission.bytes,
    residentModels: () => registry.resident.models,
    residentBytes: () => registry.resident.bytes,
    badEntries: () => badEntries.count,
    engineReady: () => engine.ready,
    engineRestarts: () => engine.restarts,
  })
  const usage = new Usage()
  const batcher = new Batcher({
    engine,
    models: {
      isReady: (id) => registry.isReady(id),
      ensureReady: (id) => registry.ensureReady(id),
      lost: (id) => {
        registry.engineLost(id)
      },
    },
    quarantine,
    maxBatchSize: config.MAX_BATCH_SIZE,
    onBatch: ({ model, images, computeMs, ms }) => {
      admission.recordBatch(images, ms)
      metrics.batch(images, computeMs)
      usage.computed(model, images, computeMs)
    },
  })
  const app = await buildApp({
    config,
    logger,
    engine,
    analysis,
    decoder,
    store,
    registry,
    admission,
    batcher,
    experiments,
    metrics,
    usage,
    keyring,
    tracing,
    notReady: () => {
      if (draining) return new ServiceError('SHUTTING_DOWN', 'the service is shutting down')
      const unavailable = (detail: string) => new ServiceError('ENGINE_UNAVAILABLE', detail)
      if (!started) return unavailable('the engine is starting')
      if (!engine.ready) return unavailable('the engine is restarting or does not answer')
      if (!analysis.answering) return unavailable('the analysis is restarting or does not answer')
      if (awaited.size === 0) return undefined
      return new ServiceError('PRELOADING', `waits for the models of PRELOAD: ${[...awaited].join(', ')}`)
    },
  })

  return {
    app,
    logger,
    engine,
    key: keyring.generated,
    started: async () => {
      await Promise.all([engine.info(), analysis.ready(), decoder.started()])
      started = true
    },
    preload: () =>
      preload(preloaded, {
        ...{ registry, store, analysis, maxParameters: config.MAX_MODEL_PARAMETERS },
        ready: (name) => awaited.delete(name),
      }),
    get isStarted() {
      return started && awaited.size === 0
    },
    drain: () => {
      draining = true
    },
    close: async () => {
      try {
        await app.close()
        await experiments.close()
        await registry.close()
      } finally {
        keyring.close()
        await Promise.all([engine.close(), analysis.close(), decoder.close(), tracing.close()])
        await store.close()
      }
    },
  }
}

/** A process for each GPU; on the CPU one, with another for builds while it predicts, or as many as are asked for. */
function startEngines(
  { ENGINES, ENGINE_TIMEOUT_MS: timeoutMs }: Config,
  logger: Logger,
  lost: (id?: string) => void,
): Engine {
  const visible = gpus()
  const threads = processors()
  if (ENGINES === 0 && visible.length === 0)
    return startTwoProcessEngine((onLost) => startEngine({ logger, threads, onLost, timeoutMs }), lost)
  const count = ENGINES > 0 ? ENGINES : visible.length
  return startPool(
    Array.from({ length: count }, (_, index) => visible[index % visible.length]),
    // Engines on the CPU share it.
    (gpu, onLost) =>
      startEngine({
        ...{ logger, gpu, onLost, timeoutMs },
        threads: gpu === undefined ? Math.ceil(threads / count) : threads,
      }),
    lost,
  )
}

/** What collects and sends traces is loaded only where somebody takes them. */
async function openTracing(config: Config, logger: Logger): Promise<Tracing> {
  if (config.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return noTracing
  const { startTracing } = await import('./telemetry/opentelemetry.ts')
  return startTracing(logger)
}
