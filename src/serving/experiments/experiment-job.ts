import type { Analysis, TrainingState } from '../../analysis/contract.ts'
import { ServiceError } from '../../common/errors.ts'
import { summarizeRun, type Course } from '../../experiments/curve.ts'
import type { PlannedExperiment } from '../../experiments/resolve.ts'
import type { Run, Summary } from '../../experiments/results.ts'
import { summarize } from '../../experiments/summary.ts'

export const experimentStates = ['waiting', 'running', 'done', 'cancelled', 'failed'] as const
export type ExperimentState = (typeof experimentStates)[number]

/** The duration of one training part, in ms. Other calls of the analysis wait for at most this time and one step. */
const PART_MS = 200

/** One experiment: its runs, one after another, each in parts between which the analysis answers other calls. */
export class ExperimentJob {
  readonly planned: PlannedExperiment
  readonly createdAt = new Date()
  readonly #cancel = new AbortController()
  readonly #runs: Run[] = []
  #state: ExperimentState = 'waiting'
  #current: Course | undefined
  #startedAt: Date | null = null
  #finishedAt: Date | null = null
  #lastError: string | null = null
  #summary: Summary | undefined

  constructor(planned: PlannedExperiment) {
    this.planned = planned
  }

  get state(): ExperimentState {
    return this.#state
  }

  /** True after its end, in any state. */
  get finished(): boolean {
    return this.#finishedAt !== null
  }

  get startedAt(): Date | null {
    return this.#startedAt
  }

  get finishedAt(): Date | null {
    return this.#finishedAt
  }

  get lastError(): string | null {
    return this.#lastError
  }

  get progress() {
    const { cost, experiment } = this.planned
    return {
      runs_done: this.#runs.length,
      runs: cost.runs,
      step: this.#current?.losses.length ?? 0,
      steps: experiment.steps,
      loss: this.#current?.losses.at(-1) ?? null,
    }
  }

  /** The completed runs. */
  get runs(): readonly Run[] {
    return this.#runs
  }

  /** The partial result of the current run. */
  get current(): Run | null {
    if (this.#current === undefined || this.#current.losses.length === 0) return null
    const { steps, target_loss } = this.planned.experiment
    return summarizeRun(this.#current, steps, target_loss)
  }

  get summary(): Summary {
    this.#summary ??= summarize(this.planned.experiment, this.#runs, this.#state === 'done')
    return this.#summary
  }

  /** Runs all combinations, one seed after another, so early results cover every initializer and learning rate. */
  async run(analysis: Analysis): Promise<void> {
    if (this.finished) return
    this.#state = 'running'
    this.#startedAt = new Date()
    const { learning_rates, seeds } = this.planned.experiment
    try {
      for (const seed of seeds)
        for (const learningRate of learning_rates)
          for (const initializer of this.planned.specifications.keys())
            await this.#train(analysis, { initializer, learningRate, seed })
      this.#end('done')
    } catch (error) {
      if (this.#cancel.signal.aborted) return
      this.#lastError =
        error instanceof ServiceError && error.code !== 'INTERNAL' ? error.message : 'the service failed'
      this.#end('failed')
      if (!(error instanceof ServiceError)) throw error
    }
  }

  /** Cancels the experiment. Completed runs stay. */
  cancel(): void {
    if (this.finished) return
    this.#end('cancelled')
    this.#cancel.abort(new ServiceError('SHUTTING_DOWN', 'the experiment was cancelled'))
  }

  async #train(
    analysis: Analysis,
    { initializer, learningRate, seed }: Pick<Course, 'initializer' | 'learningRate' | 'seed'>,
  ): Promise<void> {
    const { experiment, specifications } = this.planned
    const { steps, momentum, batch_size: batchSize, target_loss } = experiment
    const specification = specifications[initializer]
    if (specification === undefined) throw new TypeError(`no initializer ${String(initializer)}`)
    const training = {
      specification: { ...specification, seed },
      ...{ seed, learningRate, momentum, batchSize, steps },
    }
    const started = performance.now()
    const losses: number[] = []
    let state: TrainingState | null = null
    for (;;) {
      const part = await analysis.train(training, state, PART_MS, { signal: this.#cancel.signal })
      losses.push(...part.losses)
      const { diverged, accuracy } = part
      const ms = performance.now() - started
      this.#current = { initializer, learningRate, seed, losses, diverged, accuracy, ms }
      state = part.state
      if (state.step === steps || diverged) break
    }
    this.#runs.push(summarizeRun(this.#current, steps, target_loss))
    this.#current = undefined
    this.#summary = undefined
  }

  #end(state: ExperimentState): void {
    this.#state = state
    this.#current = undefined
    this.#summary = undefined
    this.#finishedAt = new Date()
  }
}
