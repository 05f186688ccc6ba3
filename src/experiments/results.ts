import Type, { type Static } from 'typebox'
import { SafeInteger } from '../initializers/initializer.ts'
import { answer, nullable, Num } from '../common/schema.ts'

/** The maximum number of points in a curve. */
export const CURVE_POINTS = 50
/** The loss at a step is the mean over this number of steps, so one lucky batch has little effect. */
export const SMOOTHING = 10

/** The result of one run. */
export const Run = answer('ExperimentRun', {
  initializer: Type.Integer({ description: 'Its place in `initializers`' }),
  learning_rate: Type.Number(),
  seed: SafeInteger,
  steps: Type.Array(Type.Integer(), {
    description: `Of the curve's points, at most ${String(CURVE_POINTS)}: the last step that each has in it`,
  }),
  loss: Type.Array(Num, {
    description: "The mean of each point's steps, from the step after the point before",
  }),
  final_loss: { ...Num, description: 'The mean of the last tenth of the steps; NaN where it diverged' },
  steps_to_target: nullable(Type.Integer(), {
    description: `The first step at which the mean of ${String(SMOOTHING)} is no more than target_loss; null where none is`,
  }),
  test_accuracy: nullable(Type.Number(), { description: 'Null where it diverged' }),
  diverged: Type.Boolean({
    description: 'Its loss was no number, or a hundred times that of guessing; it ended there',
  }),
  ms: Type.Integer({
    description: 'From its first step to its last, with what other questions took between',
  }),
})
export type Run = Static<typeof Run>

const Across = Type.Object({ mean: Num, low: Num, high: Num })

/** An initializer with a learning rate, over the seeds. */
export const Group = answer('ExperimentGroup', {
  initializer: Type.Integer({ description: 'Its place in `initializers`' }),
  learning_rate: Type.Number(),
  runs: Type.Integer({ description: 'Those done' }),
  diverged: Type.Integer({ description: 'Of them' }),
  trains: Type.Boolean({ description: 'Every final loss is below half that of guessing, ln(classes) / 2' }),
  curve: Type.Object(
    { steps: Type.Array(Type.Integer()), mean: Type.Array(Num), low: Type.Array(Num), high: Type.Array(Num) },
    { description: 'Over the runs that did not diverge: their mean, the smallest and the largest' },
  ),
  final_loss: Type.Object(
    { mean: Num, interval: nullable(Type.Array(Num)) },
    {
      description:
        "Geometric mean, and Student's 95 % interval of it, from the logarithms; null with one run. NaN where one diverged",
    },
  ),
  test_accuracy: nullable(Across, { description: 'Mean, smallest and largest; null where one diverged' }),
  steps_to_target: nullable(Across, { description: 'The same; null where a run does not reach it' }),
})
export type Group = Static<typeof Group>

export const Best = answer('BestLearningRate', {
  initializer: Type.Integer({ description: 'Its place in `initializers`' }),
  learning_rate: nullable(Type.Number(), {
    description:
      'With the smallest final loss, of those with which no run diverged; null where there is none',
  }),
  trains_with: Type.Array(Type.Number(), { description: 'The learning rates with which every run trains' }),
})
export type Best = Static<typeof Best>

export const Summary = answer('ExperimentSummary', {
  groups: Type.Array(Group, { description: 'Those of which a run is done' }),
  best: Type.Array(Best),
  ranking: Type.Array(Type.Object({ rank: Type.Integer(), initializers: Type.Array(Type.Integer()) }), {
    description:
      'Each at its best learning rate: one more than there are others whose interval lies wholly below',
  }),
  verdict: nullable(Type.String(), { description: 'In words; null until all is done' }),
})
export type Summary = Static<typeof Summary>
