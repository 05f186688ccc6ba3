import type {
  ExperimentPresetList,
  ExperimentRequest,
  ExperimentResult,
  ExperimentJob,
} from '../../api/types.gen.ts'
import { copyAs, saveJson } from '../components/actions.ts'
import type { Call } from '../api/call.ts'
import { Refusal } from '../api/client.ts'
import { button, element, fill, labelled, say, select } from '../components/dom.ts'
import { experimentForm } from '../components/experiment-form.ts'
import { experimentResults } from '../components/experiment-results.ts'
import { number } from '../components/format.ts'
import type { Page } from './view.ts'

const PATH = '/v1/experiments'
const EVERY_MS = 500
const JOB_ID = /^[0-9a-f]{64}$/
const NOT_TRAINED = 'This service has no results of this experiment. Press Train to get them.'
type Preset = ExperimentPresetList['presets'][number]

/**
 * Tests whether good initialization trains faster: initializers by learning rates by seeds on small pictures.
 */
export function experimentView(root: HTMLElement, { client, session }: Page): void {
  let presets: readonly Preset[] = []
  let shown: ExperimentResult | undefined
  /** The id of the observed job. */
  let watched: string | undefined
  let running = false

  const form = experimentForm((body) => {
    session.set({ fields: { experiment: JSON.stringify(body), trained: undefined } })
  })
  const presetPlace = element('div', {})
  const cost = element('p', { class: 'muted' })
  const refusal = element('p', { class: 'refusal', role: 'alert', hidden: true })
  const progress = element('progress', { max: 1, value: 0, 'aria-label': 'Trained so far' })
  const status = element('span', { class: 'muted' })
  const cancel = button('Cancel', () => void stop())
  const progressRow = element('div', { class: 'row', hidden: true }, progress, status, cancel)
  const train = button('Train', () => void run(), 'primary')
  const results = element('div', { class: 'stack' })
  const call = (): Call => ({ method: 'POST', path: PATH, json: form.body })
  fill(
    root,
    element(
      'div',
      { class: 'card' },
      element('h2', {}, 'Does good initialization train faster?'),
      element(
        'p',
        { class: 'muted' },
        'A small residual network is trained on 1,437 handwritten digits of 8×8 pixels, with every combination of initializer, learning rate and seed. Bands show the minimum and maximum over the seeds.',
      ),
      presetPlace,
      form.root,
      cost,
      element('div', { class: 'row' }, train, progressRow),
      refusal,
      copyAs(client, 'the experiment', call),
    ),
    results,
  )
  const linked = session.field('experiment')
  if (linked !== undefined) form.show(bodyOf(linked))
  void load()
  const trained = session.field('trained')
  if (trained !== undefined) void lookUp(trained)

  async function load(): Promise<void> {
    try {
      const list = await client.json<ExperimentPresetList>({ method: 'GET', path: '/v1/experiment-presets' })
      presets = list.presets
      const [first] = presets
      if (first === undefined) return
      if (linked === undefined) choose(first)
      fill(
        presetPlace,
        labelled(
          'Experiment',
          select(
            'preset',
            presets.map(({ name, summary }) => [name, summary]),
            linked === undefined ? first.name : 'your own',
            (name) => {
              const preset = presets.find((one) => one.name === name)
              if (preset !== undefined) choose(preset)
            },
          ),
        ),
      )
    } catch (error) {
      refuse(error as Error)
    }
  }

  function choose({ experiment, cost: of }: Preset): void {
    form.show(experiment)
    session.set({ fields: { experiment: JSON.stringify(experiment), trained: undefined } })
    cost.textContent = `${String(of.runs)} runs with ${String(of.steps)} steps in total: about ${number(of.estimated_seconds)} s on two idle cores.`
  }

  function run(): Promise<void> {
    return follow(async () => {
      const { id, cost: of } = await client.json<ExperimentJob>(call())
      session.set({ fields: { experiment: JSON.stringify(form.body), trained: id } })
      cost.textContent = `${String(of.runs)} runs: about ${number(of.estimated_seconds)} s on two idle cores.`
      return id
    })
  }

  /** Shows the job of a link if this service has it. Only the button Train starts a training. */
  async function lookUp(id: string): Promise<void> {
    if (JOB_ID.test(id)) await follow(() => Promise.resolve(id))
    else refuse(new Error(NOT_TRAINED))
  }

  async function follow(begin: () => Promise<string>): Promise<void> {
    if (running) return
    running = true
    refusal.hidden = true
    train.disabled = true
    try {
      watched = await begin()
      progressRow.hidden = false
      await watch(watched)
    } catch (error) {
      session.set({ fields: { trained: undefined } })
      const isGone = error instanceof Refusal && error.problem.status === 404
      refuse(isGone ? new Error(NOT_TRAINED) : (error as Error))
    } finally {
      running = false
      watched = undefined
      progressRow.hidden = true
      train.disabled = false
    }
  }

  /** Polls until the job has ended. */
  async function watch(id: string): Promise<void> {
    for (;;) {
      const result = await client.json<ExperimentResult>({ method: 'GET', path: `${PATH}/${id}` })
      showProgress(result)
      if (result.finished_at !== null) {
        if (result.last_error !== null) refuse(new Error(result.last_error))
        say(result.summary.verdict ?? `The experiment is ${result.state}`)
        return
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
  }

  function showProgress(result: ExperimentResult): void {
    const { runs_done: done, runs, step, steps, loss } = result.progress
    progress.value = (done + step / steps) / runs
    status.textContent =
      result.state === 'waiting'
        ? 'waits for another experiment'
        : `run ${String(Math.min(done + 1, runs))} of ${String(runs)}, step ${String(step)} of ${String(steps)}, loss ${number(loss)}`
    if (shown?.id === result.id && shown.state === result.state && shown.runs.length === result.runs.length)
      return
    shown = result
    if (result.runs.length === 0 && result.finished_at === null) {
      fill(results)
      return
    }
    fill(
      results,
      experimentResults(result),
      button('Download', () => {
        saveJson(`${result.id.slice(0, 12)}.experiment.json`, result)
      }),
    )
  }

  async function stop(): Promise<void> {
    if (watched !== undefined) await client.delete(`${PATH}/${watched}`).catch(refuse)
  }

  function refuse(error: Error): void {
    refusal.textContent = error.message
    refusal.hidden = false
  }
}

/** Parses the experiment of a link; missing fields use the defaults. */
function bodyOf(text: string): ExperimentRequest {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? body : {}
  } catch {
    return {}
  }
}
