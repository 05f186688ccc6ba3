import { areaY, gridY, lineY, plot, pointerX, ruleY, tip } from '@observablehq/plot'
import type { ExperimentGroup, ExperimentResult } from '../../api/types.gen.ts'
import { element, table } from './dom.ts'
import { finite, number } from './format.ts'
import { wordsOf } from './labels.ts'
import { colourOf, figure, frame, GRID, positive } from './plots.ts'

/** The results of an experiment: a sentence, curves for each learning rate, and a table. */
export function experimentResults(result: ExperimentResult): HTMLElement[] {
  const { summary, experiment, state } = result
  const { learning_rates: rates, seeds } = experiment
  const band = seeds.length > 1 ? 'mean of the seeds with a band from minimum to maximum' : 'one seed'
  return [
    element(
      'div',
      { class: 'card' },
      element('h3', {}, state === 'done' ? 'Verdict' : state),
      summary.verdict === null ? undefined : element('p', { class: 'verdict-words' }, summary.verdict),
      element(
        'p',
        { class: 'row' },
        experiment.initializers.map((initializer, index) =>
          element(
            'span',
            {},
            element('span', { class: `dot colour-${String(index + 1)}` }),
            ` ${wordsOf(initializer)}`,
          ),
        ),
      ),
    ),
    element(
      'div',
      { class: 'columns even' },
      rates.map((rate) =>
        element(
          'div',
          { class: 'card' },
          figure(`Learning rate ${number(rate)}: training loss by step, ${band}`, (width) =>
            curves(result, rate, width),
          ),
        ),
      ),
    ),
    inNumbers(result),
  ]
}

interface Point {
  readonly step: number
  readonly name: string
  readonly mean: number | undefined
  readonly low: number | undefined
  readonly high: number | undefined
}

/** Losses on one logarithmic axis for all learning rates; the rule is the loss of guessing. */
function curves(
  { experiment, summary }: ExperimentResult,
  rate: number,
  width: number,
  height = 260,
): Element {
  const guessing = Math.log(experiment.architecture.head.units)
  const marks = summary.groups
    .filter(({ learning_rate }) => learning_rate === rate)
    .flatMap(({ initializer, curve }) => {
      const entry = experiment.initializers[initializer]
      const name = entry === undefined ? '' : wordsOf(entry)
      const stroke = colourOf(initializer + 1)
      const points = curve.steps.map((step, index): Point => {
        const at = (values: readonly (number | string)[]) => positive(values[index] ?? '')
        return { step, name, mean: at(curve.mean), low: at(curve.low), high: at(curve.high) }
      })
      return [
        areaY(points, { x: 'step', y1: 'low', y2: 'high', fill: stroke, fillOpacity: 0.16, clip: true }),
        lineY(points, { x: 'step', y: 'mean', stroke, strokeWidth: 2, clip: true }),
        tip(
          points,
          pointerX({
            ...{ x: 'step', y: 'mean', fill: 'var(--surface)', stroke: 'var(--line)' },
            title: ({ name: of, step, mean }: Point) =>
              `${of}\nstep ${String(step)}: ${number(mean ?? null)}`,
          }),
        ),
      ]
    })
  return plot({
    ...frame(width, height),
    x: { label: 'step', domain: [0, experiment.steps], ticks: Math.max(2, Math.floor(width / 90)) },
    y: {
      ...{ type: 'log', label: 'loss', domain: domainOf(summary.groups, guessing), ticks: 4 },
      tickFormat: (tick: number) => number(tick),
    },
    marks: [
      gridY({ ticks: 4, ...GRID }),
      ruleY([guessing], { stroke: 'currentColor', strokeDasharray: '5 4', strokeOpacity: 0.6 }),
      ...marks,
    ],
  })
}

/** The range of all curves, at most a hundred times the loss of guessing. */
function domainOf(groups: readonly ExperimentGroup[], guessing: number): [number, number] {
  const values = groups.flatMap(({ curve }) =>
    [...curve.low, ...curve.high].flatMap((value) => {
      const known = finite(value)
      return known === undefined || known <= 0 ? [] : [known]
    }),
  )
  return [Math.min(guessing / 2, ...values), Math.min(100 * guessing, Math.max(1.5 * guessing, ...values))]
}

const HEADS = [
  ...(['initializer', 'learning rate', 'runs', 'final loss', '95 % interval'] as const),
  ...(['test accuracy', 'steps to the target', 'diverged'] as const),
]

function inNumbers({ experiment, summary }: ExperimentResult): HTMLElement {
  const best = new Set(
    summary.best.map(({ initializer, learning_rate }) => `${String(initializer)} ${String(learning_rate)}`),
  )
  return element(
    'div',
    { class: 'card' },
    table(
      'Results in numbers',
      HEADS,
      summary.groups.map((group) => {
        const entry = experiment.initializers[group.initializer]
        const chosen = best.has(`${String(group.initializer)} ${String(group.learning_rate)}`)
        const { interval, mean } = group.final_loss
        return element(
          'tr',
          {},
          element(
            'th',
            { scope: 'row' },
            element('code', {}, entry === undefined ? '' : wordsOf(entry)),
            chosen ? ' (best)' : undefined,
          ),
          [
            number(group.learning_rate),
            String(group.runs),
            number(mean),
            interval === null ? '-' : interval.map(number).join(' to '),
            group.test_accuracy === null ? '-' : number(group.test_accuracy.mean),
            group.steps_to_target === null ? '-' : number(group.steps_to_target.mean),
            String(group.diverged),
          ].map((text) => element('td', { class: 'number' }, text)),
        )
      }),
    ),
    element(
      'p',
      { class: 'muted' },
      `The target is a mean loss of ${number(experiment.target_loss)} over ten steps. Final losses are geometric means of the last tenth of the steps.`,
    ),
  )
}
