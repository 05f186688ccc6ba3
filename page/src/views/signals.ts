import type { ModelSignals } from '../../api/types.gen.ts'
import { copyAs, saveJson } from '../components/actions.ts'
import type { Call } from '../api/call.ts'
import { nothingYet } from '../components/chosen-model.ts'
import { button, element, fill, labelled, say, select, table } from '../components/dom.ts'
import { number } from '../components/format.ts'
import type { Entry } from '../state/models.ts'
import { byBlock, figure, type Series } from '../components/plots.ts'
import type { Page } from './view.ts'

const DEFAULTS = { batch_size: '8', repeats: '5', signal_seed: '0', mode: 'training' } as const
type Field = keyof typeof DEFAULTS

/** Signals and gradients through the models of the page, block by block. */
export function signalsView(root: HTMLElement, { client, session, models }: Page): void {
  /** Measurements of this page, by request and model. */
  const measured = new Map<string, ModelSignals>()
  let running: AbortController | undefined
  /** Models and settings of the last press of Measure. Later links and models start no measurement. */
  let requested: { readonly settings: string; readonly entries: ReadonlySet<Entry> } | undefined

  const valueOf = (field: Field): string => session.field(field) ?? DEFAULTS[field]
  const readSettings = () => ({
    batch_size: Number(valueOf('batch_size')),
    repeats: Number(valueOf('repeats')),
    seed: Number(valueOf('signal_seed')),
    mode: valueOf('mode'),
  })
  const callFor = (id: string): Call => ({
    method: 'POST',
    path: `/v1/models/${id}/signals`,
    json: readSettings(),
  })
  const keyOf = (entry: Entry): string => JSON.stringify([entry.id, readSettings()])
  const shown = (): readonly (readonly [Entry, ModelSignals])[] =>
    models.entries.flatMap((entry) => {
      const signals = measured.get(keyOf(entry))
      return signals === undefined ? [] : [[entry, signals] as const]
    })

  const next = (): Entry | undefined =>
    requested?.settings !== JSON.stringify(readSettings())
      ? undefined
      : models.entries.find(
          (entry) => requested?.entries.has(entry) && entry.status === 'ready' && !measured.has(keyOf(entry)),
        )

  const progress = element('progress', { max: 1, value: 0, 'aria-label': 'Measured so far' })
  const waits = element(
    'div',
    { class: 'row', hidden: true },
    progress,
    button('Stop', () => running?.abort()),
  )
  const refusal = element('p', { class: 'refusal', role: 'alert', hidden: true })
  const measure = button(
    'Measure',
    () => {
      requested = { settings: JSON.stringify(readSettings()), entries: new Set(models.entries) }
      void run()
    },
    'primary',
  )
  const results = element('div', { class: 'stack' })
  const empty = element('div', {})
  const form = element('div', { class: 'card' })
  fill(root, empty, form, results)
  drawForm()
  draw()

  models.onChange(() => {
    draw()
    // Models that were not ready when Measure was pressed are measured once they are.
    if (next() !== undefined) void run()
  })
  session.onChange(() => {
    draw()
  })

  function drawForm(): void {
    const set = (field: Field) => (value: string) => {
      session.set({ fields: { [field]: value === DEFAULTS[field] ? undefined : value } })
    }
    const whole = (name: Field, min: number): HTMLInputElement => {
      const input = element('input', {
        ...{ type: 'number', name, min, step: 1, value: valueOf(name) },
        onchange: () => {
          set(name)(input.value)
        },
      })
      return input
    }
    fill(
      form,
      element('h2', {}, 'Signals'),
      element(
        'p',
        { class: 'muted' },
        'Runs Gaussian images through every model of this page and computes the gradients of a loss with random labels. The weights do not change.',
      ),
      element(
        'div',
        { class: 'form' },
        labelled('Batch size', whole('batch_size', 1)),
        labelled('Repeats', whole('repeats', 1)),
        labelled('Input seed', whole('signal_seed', 0)),
        labelled(
          'Norms',
          select(
            'mode',
            [
              ['training', 'batch statistics (training)'],
              ['inference', 'moving averages (inference)'],
            ],
            valueOf('mode'),
            set('mode'),
          ),
        ),
      ),
      element('div', { class: 'row' }, measure, waits),
      refusal,
      copyAs(client, 'the measurement', () => {
        const id = models.chosen?.id
        return id === undefined ? undefined : callFor(id)
      }),
    )
  }

  async function run(): Promise<void> {
    if (running !== undefined) return
    running = new AbortController()
    const { signal } = running
    waits.hidden = false
    measure.disabled = true
    refusal.hidden = true
    try {
      for (let entry = next(); entry !== undefined; entry = next()) {
        const key = keyOf(entry)
        progress.removeAttribute('value')
        const signals = await client.job<ModelSignals>(
          callFor(entry.id ?? ''),
          ({ done, total }) => (progress.value = done / total),
          signal,
        )
        measured.set(key, signals)
        say(`${entry.label}: ${signals.verdict}`)
        draw()
      }
    } catch (error) {
      requested = undefined
      if (!signal.aborted) {
        refusal.textContent = (error as Error).message
        refusal.hidden = false
      }
    } finally {
      running = undefined
      waits.hidden = true
      measure.disabled = false
    }
  }

  function draw(): void {
    const none = models.entries.length === 0
    form.hidden = none
    empty.hidden = !none
    fill(empty, none ? nothingYet(session) : undefined)
    const all = shown()
    const state = JSON.stringify(all.map(([entry]) => [keyOf(entry), entry.colour]))
    if (results.dataset['shown'] === state) return
    results.dataset['shown'] = state
    fill(
      results,
      all.length === 0
        ? undefined
        : [
            element('div', { class: 'verdicts' }, all.map(verdictCard)),
            element(
              'div',
              { class: 'columns even' },
              element(
                'div',
                { class: 'card' },
                figure('Variance of each block with 95 % intervals', (width) =>
                  byBlock(all.map(activation), 'variance', width),
                ),
                all.some(([, { mean_field }]) => mean_field !== null)
                  ? element('p', { class: 'muted' }, 'Dashed: prediction of mean-field theory.')
                  : undefined,
              ),
              element(
                'div',
                { class: 'card' },
                figure('Gradient norm of each block with 95 % intervals', (width) =>
                  byBlock(all.map(gradient), 'l2 norm', width),
                ),
              ),
            ),
            numbers(all),
          ],
    )
  }
}

function verdictCard([entry, signals]: readonly [Entry, ModelSignals]): HTMLElement {
  const { verdict, reason, notes, loss, output_entropy, gradient_ratio } = signals
  return element(
    'article',
    { class: 'card verdict-card' },
    element('h3', {}, element('span', { class: `dot colour-${String(entry.colour)}` }), entry.label),
    element(
      'p',
      { class: `verdict ${verdict === 'stable' ? 'good' : verdict === 'undecided' ? '' : 'bad'}` },
      sentence(verdict),
    ),
    element('p', {}, `${sentence(reason)}.`),
    notes.map((note) => element('p', { class: 'muted' }, note)),
    element(
      'p',
      { class: 'muted' },
      `Loss ${number(loss)}, output entropy ${number(output_entropy)}, gradient ratio of the first to the last block ${number(gradient_ratio)}.`,
    ),
    button('Download', () => {
      saveJson(`${signals.model.slice(0, 12)}.signals.json`, signals)
    }),
  )
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

function activation([{ label, colour }, { blocks, mean_field }]: readonly [Entry, ModelSignals]): Series {
  const points = blocks.map(({ name, activation: { variance, variance_interval } }) => ({
    name,
    value: variance,
    interval: variance_interval,
  }))
  return { label, colour, points, predicted: mean_field?.q }
}

function gradient([{ label, colour }, { blocks }]: readonly [Entry, ModelSignals]): Series {
  const points = blocks.map(({ name, gradient: { l2_norm, l2_norm_interval } }) => ({
    name,
    value: l2_norm,
    interval: l2_norm_interval,
  }))
  return { label, colour, points }
}

/** The charts' numbers as a table. */
function numbers(all: readonly (readonly [Entry, ModelSignals])[]): HTMLElement {
  const heads = ['model', 'block', 'variance', 'dead channels', 'gradient norm', 'relative to weights']
  return element(
    'details',
    { class: 'card' },
    element('summary', {}, 'Values'),
    table(
      'Signals in numbers',
      heads,
      all.flatMap(([{ label }, { blocks }]) =>
        blocks.map(({ name, activation: of, gradient: back }) =>
          element(
            'tr',
            {},
            element('td', {}, label),
            element('th', { scope: 'row' }, element('code', {}, name)),
            [of.variance, of.dead_fraction, back.l2_norm, back.relative_to_weight].map((value) =>
              element('td', { class: 'number' }, number(value)),
            ),
          ),
        ),
      ),
    ),
  )
}
