import Type, { type Static } from 'typebox'
import { SafeInteger } from '../initializers/initializer.ts'
import { answer, nullable, Num } from '../common/schema.ts'

/** Largest number of points in a curve. */
export const CURVE_POINTS = 50
/**
 * Steps per smoothed loss: the loss at a step is the mean over this many steps, so a single batch has little
 * effect.
 */
export const SMOOTHING = 10

/** The result of one run. */
export const Run = answer('ExperimentRun', {
  initializer: Type.Integer({ description: 'Index in `initializers`' }),
  learning_rate: Type.Number(),
  seed: SafeInteger,
  steps: Type.Array(Type.Integer(), {
    description: `The last step of each of the curve's points, of which there are at most ${String(CURVE_POINTS)}`,
  }),
  loss: Type.Array(Num, {
    description: "Mean loss of each point's steps, from the step after the previous point",
  }),
  final_loss: { ...Num, description: 'Mean loss of the last tenth of the steps; NaN if the run diverged' },
  steps_to_target: nullable(Type.Integer(), {
    description: `The first step at which the mean loss of ${String(SMOOTHING)} steps is at most target_loss; null if there is none`,
  }),
  test_accuracy: nullable(Type.Number(), { description: 'null if the run diverged' }),
  diverged: Type.Boolean({
    description: 'True if the loss became NaN or a hundred times the loss of guessing, which ends the run',
  }),
  ms: Type.Integer({
    description: 'Time from the first step to the last, including other work in between',
  }),
})
export type Run = Static<typeof Run>

const Across = Type.Object({ mean: Num, low: Num, high: Num })

/** Results of an initializer with a learning rate, over the seeds. */
export const Group = answer('ExperimentGroup', {
  initializer: Type.Integer({ description: 'Index in `initializers`' }),
  learning_rate: Type.Number(),
  runs: Type.Integer({ description: 'Completed runs' }),
  diverged: Type.Integer({ description: 'Completed runs that diverged' }),
  trains: Type.Boolean({
    description: 'True if every final loss is below ln(classes) / 2, half the loss of guessing',
  }),
  curve: Type.Object(
    { steps: Type.Array(Type.Integer()), mean: Type.Array(Num), low: Type.Array(Num), high: Type.Array(Num) },
    { description: 'Mean, smallest and largest loss of the runs that did not diverge' },
  ),
  final_loss: Type.Object(
    { mean: Num, interval: nullable(Type.Array(Num)) },
    {
      description:
        "Geometric mean with Student's 95 % interval, both from the logarithms; null with one run. NaN if a run diverged",
    },
  ),
  test_accuracy: nullable(Across, { description: 'Mean, smallest and largest; null if a run diverged' }),
  steps_to_target: nullable(Across, {
    description: 'Mean, smallest and largest; null if a run does not reach the target',
  }),
})
export type Group = Static<typeof Group>

export const Best = answer('BestLearningRate', {
  initializer: Type.Integer({ description: 'Index in `initializers`' }),
  learning_rate: nullable(Type.Number(), {
    description:
      'The learning rate with the smallest final loss among those with which no run diverged; null if there is none',
  }),
  trains_with: Type.Array(Type.Number(), { description: 'The learning rates with which every run trains' }),
})
export type Best = Static<typeof Best>

export const Summary = answer('ExperimentSummary', {
  groups: Type.Array(Group, { description: 'Groups with completed runs' }),
  best: Type.Array(Best),
  ranking: Type.Array(Type.Object({ rank: Type.Integer(), initializers: Type.Array(Type.Integer()) }), {
    description:
      'Initializers at their best learning rates; the rank is one more than the number of intervals that lie wholly below',
  }),
  verdict: nullable(Type.String(), {
    description: 'The result in sentences; null until all runs are completed',
  }),
})
export type Summary = Static<typeof Summary>
