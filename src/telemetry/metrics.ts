import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ErrorCode } from '../common/errors.ts'
import { VERSION } from '../common/version.ts'

/** What is read when somebody asks. */
export interface Readings {
  readonly queueImages: () => number
  readonly queueBytes: () => number
  readonly residentModels: () => number
  readonly residentBytes: () => number
  readonly badEntries: () => number
  readonly engineReady: () => boolean
  readonly engineRestarts: () => number
}

/** From a fraction of what a tiny network takes to more than anybody waits. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const IMAGES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
/** Of a client who went before his answer came. */
const HUNG_UP = 499

/**
 * What the service counts and measures, as Prometheus reads it. Labels are routes, statuses and codes, never what a
 * caller may choose. One per service.
 */
export class Metrics {
  readonly #registry = new Registry()
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
    const seconds = (name: string, help: string) =>
      new Histogram({ name: `resinit_${name}_seconds`, help, buckets: SECONDS, registers })
    const counter = (name: string, help: string) =>
      new Counter({ name: `resinit_${name}_total`, help, registers })
    this.#requestSeconds = new Histogram({
      name: 'resinit_request_duration_seconds',
      help: `From a request's head to the end of its answer; status ${String(HUNG_UP)}: the client hung up`,
      labelNames: ['route', 'status'],
      buckets: SECONDS,
      registers,
    })
    this.#decodeSeconds = seconds(
      'decode_duration',
      "Decoding a prediction's images, and preprocessing them on the CPU",
    )
    this.#queueSeconds = seconds('queue_duration', 'A prediction waiting for the engine')
    this.#computeSeconds = seconds('compute_duration', 'The engine computing one batch')
    this.#batchImages = new Histogram({
      name: 'resinit_batch_size_images',
      help: 'Images computed at once',
      buckets: IMAGES,
      registers,
    })
    this.#errors = new Counter({
      name: 'resinit_errors_total',
      help: 'Answers that are problems, by code',
      labelNames: ['code'],
      registers,
    })
    this.#predictions = counter('predictions', 'Prediction requests answered with classes')
    this.#images = counter('images', 'Images of those requests')

    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `resinit_${name}`,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    const reading = (name: string, help: string, read: () => number) =>
      new Counter({
        name: `resinit_${name}_total`,
        help,
        registers,
        collect() {
          this.reset()
          this.inc(read())
        },
      })
    gauge('queue_images', 'Images that wait', readings.queueImages)
    gauge('queue_bytes', 'Bytes held for requests that are not answered yet', readings.queueBytes)
    gauge('resident_models', 'Models the engine holds', readings.residentModels)
    gauge(
      'resident_bytes',
      'Memory that they take: variables, copies of filters, graphs and executors',
      readings.residentBytes,
    )
    gauge('bad_entries', 'Entries of DATA_DIR that cannot be used and are left out', readings.badEntries)
    gauge('engine_ready', 'Whether the engine answers now', () => Number(readings.engineReady()))
    reading('engine_restarts', 'How often the engine died and was started again', readings.engineRestarts)
    const started = Date.now() / 1000 - process.uptime()
    gauge('process_start_time_seconds', 'Start of the process, Unix time', () => started)
    gauge('process_resident_memory_bytes', 'Resident memory of the HTTP process', () =>
      process.memoryUsage.rss(),
    )
    reading('process_cpu_seconds', 'CPU time of the HTTP process', () => {
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

  /** All of it in the text format. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** One answered request; `route` is the pattern it met. */
  request(route: string, status: number | undefined, ms: number): void {
    this.#requestSeconds.observe({ route, status: String(status ?? HUNG_UP) }, ms / 1000)
  }

  error(code: ErrorCode): void {
    this.#errors.inc({ code })
  }

  /** One prediction request that was answered well. */
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
