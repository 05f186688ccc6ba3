import type { Experiment } from './experiment.ts'
import type { Best, Group, Summary } from './results.ts'

/**
 * What came out, in sentences: who is ahead at his best learning rate, who is not told apart from whom because intervals
 * overlap, who does not train at all.
 */
export function verdictOf(
  { initializers, learning_rates, seeds, steps }: Experiment,
  groups: readonly Group[],
  best: readonly Best[],
  ranking: Summary['ranking'],
): string {
  const called = initializers.map(({ class_name }, index) =>
    initializers.some((other, at) => at !== index && other.class_name === class_name)
      ? `${class_name} (initializer ${String(index)})`
      : class_name,
  )
  const name = (index: number): string => called[index] ?? ''
  const figure = (index: number): string => {
    const found = groups.find(
      (group) => group.initializer === index && group.learning_rate === best[index]?.learning_rate,
    )
    if (found === undefined) return name(index)
    const { mean, interval } = found.final_loss
    const range = interval ? `, 95 % ${interval.map(said).join(' to ')}` : ''
    return `${name(index)} (${said(mean)}${range}, at ${said(found.learning_rate)})`
  }
  const training = best.filter(({ trains_with }) => trains_with.length > 0)
  const idle = best.filter(({ trains_with }) => trains_with.length === 0)
  const sentences = [
    ...idle.map(
      ({ initializer }) =>
        `${name(initializer)} trains with no learning rate of these${reasonOf(groups, initializer)}.`,
    ),
    ...training.flatMap(({ initializer, trains_with }) =>
      trains_with.length < learning_rates.length
        ? [
            `${name(initializer)} trains with ${String(trains_with.length)} of ${String(learning_rates.length)} learning rates (${trains_with.map(said).join(', ')}).`,
          ]
        : [],
    ),
  ]
  if (initializers.length < 2) return [`${figure(0)} is alone.`, ...sentences].join(' ')
  const leaders = ranking.find(({ rank }) => rank === 1)?.initializers ?? []
  const others = initializers.map((_, index) => index).filter((index) => !leaders.includes(index))
  const after = `after ${String(steps)} steps, each at its best learning rate`
  const loss = 'by the loss'
  const first =
    training.length === 0
      ? 'Nothing trains.'
      : seeds.length === 1
        ? `One seed tells nobody apart ${loss} ${after}: ${initializers.map((_, index) => figure(index)).join(', ')}.`
        : leaders.length === 1 && others.length > 0
          ? `${figure(leaders[0] ?? 0)} is ahead ${loss} ${after}; behind: ${others.map(figure).join(', ')}.`
          : others.length === 0
            ? `A tie ${loss} ${after}: the intervals overlap, ${leaders.map(figure).join(', ')}.`
            : `${leaders.map(figure).join(', ')} are ahead ${loss} ${after}, and tie; behind: ${others.map(figure).join(', ')}.`
  return [first, ...sentences].join(' ')
}

function reasonOf(groups: readonly Group[], initializer: number): string {
  const own = groups.filter((group) => group.initializer === initializer)
  if (own.every(({ diverged, runs }) => diverged === runs)) return ': every run diverges'
  const lowest = Math.min(...own.map(({ final_loss }) => final_loss.mean).filter((loss) => !Number.isNaN(loss)))
  return Number.isFinite(lowest) ? `: the lowest final loss is ${said(lowest)}` : ': with each a run diverges'
}

function said(value: number): string {
  return String(Number(value.toPrecision(3)))
}
