import { estimate, rankIntervals, type Estimate } from '../statistics/interval.ts'
import type { Experiment } from './experiment.ts'
import type { Best, Group, Run, Summary } from './results.ts'
import { judge } from './verdict.ts'

/** Smaller losses are raised to this before their logarithm is computed. */
const SMALLEST = 1e-12

/** Summarizes the runs so far. `finished` means that there are no further runs. */
export function summarize(experiment: Experiment, runs: readonly Run[], finished: boolean): Summary {
  const { initializers, learning_rates } = experiment
  const guessing = Math.log(experiment.architecture.head.units)
  const groups = initializers.flatMap((_, initializer) =>
    learning_rates.flatMap((learning_rate) => {
      const own = runs.filter((run) => run.initializer === initializer && run.learning_rate === learning_rate)
      return own.length === 0 ? [] : [summarizeGroup(own, guessing)]
    }),
  )
  const best = initializers.map((_, initializer) =>
    selectBest(
      initializer,
      groups.filter((group) => group.initializer === initializer),
    ),
  )
  const ranking = rank(best.map((one) => logarithm(finalLoss(groups, one))))
  return {
    ...{ groups, best, ranking },
    verdict: finished ? judge(experiment, groups, best, ranking) : null,
  }
}

/** The group of an initializer's best learning rate. */
function finalLoss(groups: readonly Group[], { initializer, learning_rate }: Best): Group | undefined {
  return groups.find((group) => group.initializer === initializer && group.learning_rate === learning_rate)
}

function summarizeGroup(runs: readonly Run[], guessing: number): Group {
  const [first] = runs
  if (first === undefined) throw new TypeError('a group has runs')
  const whole = runs.filter(({ diverged }) => !diverged)
  const diverged = runs.length - whole.length
  const [{ steps } = { steps: [] }] = whole
  const points = steps.map((_, index) => spread(whole.map(({ loss }) => loss[index] ?? NaN)))
  const finals = estimate(runs.map(({ final_loss }) => Math.log(Math.max(final_loss, SMALLEST))))
  const reached = runs.flatMap(({ steps_to_target }) => steps_to_target ?? [])
  const accuracies = runs.flatMap(({ test_accuracy }) => test_accuracy ?? [])
  return {
    ...{ initializer: first.initializer, learning_rate: first.learning_rate, runs: runs.length, diverged },
    trains: runs.every(({ final_loss }) => final_loss < guessing / 2),
    curve: {
      steps,
      mean: points.map((point) => point.mean),
      low: points.map((point) => point.low),
      high: points.map((point) => point.high),
    },
    final_loss: {
      mean: Math.exp(finals.mean),
      interval: finals.interval?.map((end) => Math.exp(end)) ?? null,
    },
    test_accuracy: accuracies.length === runs.length ? spread(accuracies) : null,
    steps_to_target: reached.length === runs.length ? spread(reached) : null,
  }
}

function selectBest(initializer: number, groups: readonly Group[]): Best {
  const [best] = groups
    .filter(({ diverged }) => diverged === 0)
    .toSorted((a, b) => a.final_loss.mean - b.final_loss.mean)
  return {
    initializer,
    learning_rate: best?.learning_rate ?? null,
    trains_with: groups.filter(({ trains }) => trains).map(({ learning_rate }) => learning_rate),
  }
}

/** The logarithm of a group's losses; NaN if there is none. */
function logarithm(group: Group | undefined): Estimate {
  if (group === undefined) return { mean: NaN, interval: null }
  const { mean, interval } = group.final_loss
  const [low = NaN, high = NaN] = interval ?? []
  return { mean: Math.log(mean), interval: interval && [Math.log(low), Math.log(high)] }
}

function rank(finals: readonly Estimate[]): Summary['ranking'] {
  const ranks = rankIntervals(finals)
  return [...new Set(ranks)]
    .sort((a, b) => a - b)
    .map((rank) => ({ rank, initializers: [...ranks.keys()].filter((index) => ranks[index] === rank) }))
}

function spread(values: readonly number[]) {
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    low: Math.min(...values),
    high: Math.max(...values),
  }
}
