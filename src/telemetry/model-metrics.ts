import { Counter, Histogram, type Registry } from 'prom-client'

/** The number of models with series of their own. All others share the label `other`. */
const MAX_LABELS = 100
const OTHER = 'other'
/** Length of the label of a model without a name: the shortest id prefix that routes accept. */
const PREFIX_LENGTH = 12

/**
 * The metrics of predictions by model. The label `model` is a name, or the first digits of the id. A client can choose
 * names, so the number of labels is limited. One instance per service.
 */
export class ModelMetrics {
  readonly #findName: (id: string) => string | undefined
  readonly #labels = new Set<string>()
  readonly #requests: Counter<'model'>
  readonly #images: Counter<'model'>
  readonly #requestSeconds: Histogram<'model'>
  readonly #computeSeconds: Histogram<'model'>

  /** `findName` returns a name of a model, if it has one. */
  constructor(registry: Registry, buckets: number[], findName: (id: string) => string | undefined) {
    this.#findName = findName
    const registers = [registry]
    const labelNames = ['model'] as const
    const counter = (name: string, help: string) =>
      new Counter({ name: `resinit_model_${name}_total`, help, labelNames, registers })
    const seconds = (name: string, help: string) =>
      new Histogram({ name: `resinit_model_${name}_seconds`, help, labelNames, buckets, registers })
    this.#requests = counter('requests', 'Prediction requests of a model, with and without success')
    this.#images = counter('images', 'Images of successful prediction requests of a model')
    this.#requestSeconds = seconds(
      'request',
      "Time from the head of a model's prediction request to the end of its response",
    )
    this.#computeSeconds = seconds('compute', 'Time that the engine computes one batch of a model')
  }

  /** Records the end of a request, with or without success. */
  request(id: string, ms: number): void {
    const labels = { model: this.#label(id) }
    this.#requests.inc(labels)
    this.#requestSeconds.observe(labels, ms / 1000)
  }

  /** Records the images of a successful request. */
  images(id: string, count: number): void {
    this.#images.inc({ model: this.#label(id) }, count)
  }

  batch(id: string, computeMs: number): void {
    this.#computeSeconds.observe({ model: this.#label(id) }, computeMs / 1000)
  }

  #label(id: string): string {
    const label = this.#findName(id) ?? id.slice(0, PREFIX_LENGTH)
    if (this.#labels.has(label)) return label
    if (this.#labels.size >= MAX_LABELS) return OTHER
    this.#labels.add(label)
    return label
  }
}
