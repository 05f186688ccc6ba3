import type { FastifyInstance } from 'fastify'
import { pino, type Logger } from 'pino'
import { startAnalysis } from './analysis/client/analysis-process.ts'
import type { Config } from './config.ts'
import { startTwoProcessEngine } from './engine/client/two-process-engine.ts'
import type { Engine } from './engine/contract.ts'
import { startPool } from './engine/client/engine-pool.ts'
import { startEngine } from './engine/client/engine-process.ts'
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
import { Readiness } from './serving/readiness.ts'
import { createWeightsReader } from './weights/client/weights-reader.ts'
import { noTracing, type Tracing } from './telemetry/tracing.ts'

export interface Service {
  readonly app: FastifyInstance
  readonly logger: Logger
  readonly engine: Engine
  /** The key that this start generated; undefined if keys are configured or not needed. */
  readonly key: string | undefined
  /** Resolves when the engine, the analysis and a decoder answer; rejects if one of them cannot be started. */
  started(): Promise<void>
  /** Creates the models of PRELOAD. /readyz fails until they are ready. */
  preload(): Promise<void>
  /** True after `started` and `preload`. */
  readonly isStarted: boolean
  /** Makes /readyz fail. All requests are still served. */
  drain(): void
  close(): Promise<void>
}

/** Reads and checks PRELOAD. Throws an error that names the invalid file and field. */
export async function readPreload({ PRELOAD, MAX_MODEL_PARAMETERS }: Config): Promise<Preloaded[]> {
  return PRELOAD === undefined ? [] : readSpecifications(PRELOAD, MAX_MODEL_PARAMETERS)
}

/**
 * The composition root: creates all parts, from storage to HTTP, and connects them. Does not listen yet. The caller closes
 * the service, which closes the parts in reverse order.
 */
export async function buildService(config: Config, preloaded: readonly Preloaded[] = []): Promise<Service> {
  const logger = pino({ level: config.LOG_LEVEL, redact: ['req.headers'] })

  // Storage, keys and traces.
  const badEntries = new BadEntries(logger)
  const store = await Store.open(config.DATA_DIR, badEntries)
  const keyring = await Keyring.open(config, logger)
  const tracing = await openTracing(config, logger)

  // Child processes.
  const engine = startEngines(config, logger, (id) => {
    registry.engineLost(id)
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
  const weightsReader = createWeightsReader({ logger })
  const closeResources = async (): Promise<void> => {
    keyring.close()
    const children = [engine.close(), analysis.close(), decoder.close(), weightsReader.close()]
    await Promise.all([...children, tracing.close()])
    await store.close()
  }

  // Models and experiments.
  const admission = new Admission({ maxImages: config.MAX_QUEUE, maxBytes: config.MAX_QUEUE_BYTES })
  const quarantine = new Quarantine({
    onQuarantine: (id, blockedError) => {
      registry.quarantined(id, blockedError)
    },
  })
  const registry = new Registry({
    ...{ engine, analysis, store, quarantine, logger, tracing },
    memoryBudgetBytes: config.MEMORY_BUDGET_BYTES,
    drained: (id) => admission.drained(id),
  })
  const experiments = new Experiments(analysis, logger)
  try {
    await registry.load()
  } catch (error) {
    await closeResources()
    throw error
  }

  // Predictions and their metrics.
  const metrics = new Metrics({
    queueImages: () => admission.images,
    queueBytes: () => admission.bytes,
    residentModels: () => registry.resident.models,
    residentBytes: () => registry.resident.bytes,
    badEntries: () => badEntries.count,
    engineReady: () => engine.ready,
    engineRestarts: () => engine.restarts,
    modelName: (id) => registry.listNames(id)[0],
  })
  const usage = new Usage()
  const batcher = new Batcher({
    engine,
    models: {
      touchAndCheckReady: (id) => registry.touchAndCheckReady(id),
      ensureReady: (id) => registry.ensureReady(id),
      markLost: (id) => {
        registry.engineLost(id)
      },
    },
    quarantine,
    maxBatchSize: config.MAX_BATCH_SIZE,
    onBatch: ({ model, images, computeMs, ms }) => {
      admission.recordBatch(images, ms)
      metrics.batch(images, computeMs)
      metrics.models.batch(model, computeMs)
      usage.computed(model, images, computeMs)
    },
  })

  // HTTP.
  const readiness = new Readiness({ engine, analysis, preloadNames: preloaded.map(({ name }) => name) })
  const app = await buildApp({
    ...{ config, logger, engine, analysis, decoder, weightsReader, store, registry, admission, batcher },
    ...{ experiments, metrics, usage, keyring, tracing },
    notReady: () => readiness.problem,
  })

  return {
    app,
    logger,
    engine,
    key: keyring.generated,
    started: async () => {
      await Promise.all([engine.info(), analysis.ready(), decoder.started()])
      readiness.markStarted()
    },
    preload: () =>
      preload(preloaded, {
        ...{ registry, store, analysis, weightsReader, maxParameters: config.MAX_MODEL_PARAMETERS },
        ready: (name) => {
          readiness.markPreloaded(name)
        },
      }),
    get isStarted() {
      return readiness.isStarted
    },
    drain: () => {
      readiness.markDraining()
    },
    close: async () => {
      try {
        await app.close()
        await experiments.close()
        await registry.close()
      } finally {
        await closeResources()
      }
    },
  }
}

/** One engine process per GPU, or ENGINES processes. By default on the CPU: one for predictions and one for builds. */
function startEngines(
  { ENGINES, ENGINE_TIMEOUT_MS: timeoutMs }: Config,
  logger: Logger,
  onEngineLost: (id?: string) => void,
): Engine {
  const visible = gpus()
  const threads = processors()
  if (ENGINES === 0 && visible.length === 0)
    return startTwoProcessEngine(
      (onLost) => startEngine({ logger, threads, onLost, timeoutMs }),
      onEngineLost,
    )
  const count = ENGINES > 0 ? ENGINES : visible.length
  return startPool(
    Array.from({ length: count }, (_, index) => visible[index % visible.length]),
    // Engines on the CPU share its processors.
    (gpu, onLost) =>
      startEngine({
        ...{ logger, gpu, onLost, timeoutMs },
        threads: gpu === undefined ? Math.ceil(threads / count) : threads,
      }),
    onEngineLost,
  )
}

/** Loads the tracing libraries only if there is a collector. */
async function openTracing(config: Config, logger: Logger): Promise<Tracing> {
  if (config.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return noTracing
  const { startTracing } = await import('./telemetry/opentelemetry.ts')
  return startTracing(logger)
}
