import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../common/errors.ts'
import { VERSION } from '../common/version.ts'
import { ModelMetrics } from './model-metrics.ts'

/** Functions that read the current values at each scrape. */
export interface Readings {
  readonly queueImages: () => number
  readonly queueBytes: () => number
  readonly residentModels: () => number
  readonly residentBytes: () => number
  readonly badEntries: () => number
  readonly engineReady: () => boolean
  readonly engineRestarts: () => number
  /** A name of a model, if it has one. */
  readonly modelName: (id: string) => string | undefined
}

/**
 * Bucket bounds: the prediction of a tiny network is faster than the first, and no client waits longer than the last.
 */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const IMAGES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
/** The status of a request whose client disconnected before the response. */
const CLIENT_CLOSED = 499

/**
 * The service's metrics in Prometheus format. Labels are routes, statuses, error codes and versions; the names of models,
 * which a client can choose, are limited in number (`model-metrics.ts`). One instance per service.
 */
export class Metrics {
  readonly #registry = new Registry()
  /** Predictions by model. */
  readonly models: ModelMetrics
  readonly #requestSeconds: Histogram<'route' | 'status'>
  readonly #decodeSeconds: Histogram
  readonly #queueSeconds: Histogram
  readonly #computeSeconds: Histogram
  readonly #batchImages: Histogram
  readonly #errors: Counter<'code'>
  readonly #predictions: Counter
  readonly #images: Counter

  constructor(readings: Readings) {
    const registers = [this.#registry]
    this.models = new ModelMetrics(this.#registry, SECONDS, readings.modelName)
    const seconds = (name: string, help: string) =>
      new Histogram({ name: `resinit_${name}_seconds`, help, buckets: SECONDS, registers })
    const counter = (name: string, help: string) =>
      new Counter({ name: `resinit_${name}_total`, help, registers })
    this.#requestSeconds = new Histogram({
      name: 'resinit_request_duration_seconds',
      help: `Time from a request's head to the end of its response; status ${String(CLIENT_CLOSED)}: the client disconnected`,
      labelNames: ['route', 'status'],
      buckets: SECONDS,
      registers,
    })
    this.#decodeSeconds = seconds(
      'decode_duration',
      "Time to decode a prediction's images and preprocess them on the CPU",
    )
    this.#queueSeconds = seconds('queue_duration', 'Time that a prediction waits for the engine')
    this.#computeSeconds = seconds('compute_duration', 'Time that the engine computes one batch')
    this.#batchImages = new Histogram({
      name: 'resinit_batch_size_images',
      help: 'Images per batch',
      buckets: IMAGES,
      registers,
    })
    this.#errors = new Counter({
      name: 'resinit_errors_total',
      help: 'Error responses, by code',
      labelNames: ['code'],
      registers,
    })
    this.#predictions = counter('predictions', 'Successful prediction requests')
    this.#images = counter('images', 'Images of successful prediction requests')

    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `resinit_${name}`,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    const sampledCounter = (name: string, help: string, read: () => number) =>
      new Counter({
        name: `resinit_${name}_total`,
        help,
        registers,
        collect() {
          this.reset()
          this.inc(read())
        },
      })
    gauge('queue_images', 'Images that wait to be decoded or computed', readings.queueImages)
    gauge('queue_bytes', 'Bytes in memory for unanswered requests', readings.queueBytes)
    gauge('resident_models', 'Models in the engine', readings.residentModels)
    gauge(
      'resident_bytes',
      'Memory of resident models: variables, copies of filters, graphs and executors',
      readings.residentBytes,
    )
    gauge('bad_entries', 'Unusable entries of DATA_DIR, which are ignored', readings.badEntries)
    gauge('engine_ready', '1 if the engine answers now', () => Number(readings.engineReady()))
    sampledCounter('engine_restarts', 'Restarts of the engine after a crash', readings.engineRestarts)
    const started = Date.now() / 1000 - process.uptime()
    gauge('process_start_time_seconds', 'Start time of the process, Unix time', () => started)
    gauge('process_resident_memory_bytes', 'Resident memory of the HTTP process', () =>
      process.memoryUsage.rss(),
    )
    sampledCounter('process_cpu_seconds', 'CPU time of the HTTP process', () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
    new Gauge({ name: 'resinit_info', help: 'Version', labelNames: ['version', 'node'], registers }).set(
      { version: VERSION, node: process.versions.node },
      1,
    )
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** All metrics in the text format. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** Records one request; `route` is the pattern that it matched. */
  request(route: string, status: number | undefined, ms: number): void {
    this.#requestSeconds.observe({ route, status: String(status ?? CLIENT_CLOSED) }, ms / 1000)
  }

  error(code: ErrorCode): void {
    this.#errors.inc({ code })
  }

  /** Records one successful prediction request. */
  prediction({ images, decodeMs, queueMs }: { images: number; decodeMs: number; queueMs: number }): void {
    this.#decodeSeconds.observe(decodeMs / 1000)
    this.#queueSeconds.observe(queueMs / 1000)
    this.#predictions.inc()
    this.#images.inc(images)
  }

  batch(images: number, computeMs: number): void {
    this.#computeSeconds.observe(computeMs / 1000)
    this.#batchImages.observe(images)
  }
}
