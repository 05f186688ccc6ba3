import type { Experiment } from './experiment.ts'
import type { Best, Group, Summary } from './results.ts'

/**
 * The result in sentences: the initializer with the lowest loss at its best learning rate, those with overlapping
 * intervals, and those that do not train.
 */
export function judge(
  experiment: Experiment,
  groups: readonly Group[],
  best: readonly Best[],
  ranking: Summary['ranking'],
): string {
  const { initializers, learning_rates: rates } = experiment
  const names = listNames(experiment)
  const nameAt = (index: number): string => names[index] ?? ''
  const figures = (some: readonly number[]): string =>
    some
      .map((index) => {
        const at = best[index]?.learning_rate
        const found = groups.find(
          ({ initializer, learning_rate }) => initializer === index && learning_rate === at,
        )
        return nameAt(index) + (found === undefined ? '' : ` (${finalLoss(found)})`)
      })
      .join(', ')
  const all = [...initializers.keys()]
  const sentences = best.flatMap(({ initializer, trains_with: fit }) => {
    const name = nameAt(initializer)
    if (fit.length === rates.length) return []
    if (fit.length === 0)
      return [`${name} trains with none of the learning rates: ${explain(groups, initializer)}.`]
    return [
      `${name} trains with ${String(fit.length)} of ${String(rates.length)} learning rates (${fit.map(format).join(', ')}).`,
    ]
  })
  return [comparison(), ...sentences].join(' ')

  function comparison(): string {
    const after = `by the loss after ${String(experiment.steps)} steps, each at its best learning rate`
    if (best.every(({ trains_with }) => trains_with.length === 0)) return 'Nothing trains.'
    if (all.length === 1) return `There is nothing to compare with: ${figures(all)}.`
    if (experiment.seeds.length === 1) return `One seed gives no ranking ${after}: ${figures(all)}.`
    const ahead = ranking.find(({ rank }) => rank === 1)?.initializers ?? []
    const behind = all.filter((index) => !ahead.includes(index))
    if (behind.length === 0) return `A tie ${after}: the intervals overlap, ${figures(ahead)}.`
    const lead = ahead.length === 1 ? 'is ahead' : 'are ahead, and tie,'
    return `${figures(ahead)} ${lead} ${after}; behind: ${figures(behind)}.`
  }
}

/** Class names, with their positions if a class occurs twice. */
function listNames({ initializers }: Experiment): string[] {
  return initializers.map(({ class_name }, index) =>
    initializers.filter((other) => other.class_name === class_name).length > 1
      ? `${class_name} (initializer ${String(index)})`
      : class_name,
  )
}

function finalLoss({ final_loss: { mean, interval }, learning_rate }: Group): string {
  const range = interval ? `, 95 % ${interval.map(format).join(' to ')}` : ''
  return `${format(mean)}${range}, at ${format(learning_rate)}`
}

function explain(groups: readonly Group[], initializer: number): string {
  const own = groups.filter((group) => group.initializer === initializer)
  const finals = own.filter(({ diverged }) => diverged === 0).map(({ final_loss }) => final_loss.mean)
  if (finals.length > 0) return `its lowest final loss is ${format(Math.min(...finals))}`
  return own.every(({ diverged, runs }) => diverged === runs)
    ? 'every run diverges'
    : 'with each learning rate a run diverges'
}

function format(value: number): string {
  return String(Number(value.toPrecision(3)))
}
