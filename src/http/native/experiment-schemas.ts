import Type from 'typebox'
import { Cost } from '../../experiments/cost.ts'
import { Experiment as Resolved, ExperimentRequest } from '../../experiments/experiment.ts'
import { Run, Summary } from '../../experiments/results.ts'
import { answer, nullable, Num } from '../../common/schema.ts'
import { experimentStates } from '../../serving/experiments/experiment-job.ts'
import { NextCursor } from '../shared/schema-parts.ts'

export const ExperimentId = Type.Object({ id: Type.String({ description: "An experiment's id" }) })

const time = nullable(Type.String(), { description: 'RFC 3339' })
const job = {
  id: Type.String({ description: 'SHA-256 of the canonical form: the same experiment has the same' }),
  state: Type.Enum([...experimentStates]),
  last_error: nullable(Type.String()),
  experiment: Resolved,
  cost: Cost,
  progress: Type.Object({
    runs_done: Type.Integer(),
    runs: Type.Integer(),
    step: Type.Integer({ description: 'Done, of the run under way' }),
    steps: Type.Integer({ description: 'That a run has' }),
    loss: nullable(Num, { description: 'Of the last step; null between runs' }),
  }),
  created_at: Type.String(),
  started_at: time,
  finished_at: time,
}
export const ExperimentJob = answer('ExperimentJob', job)
export const ExperimentResult = answer('ExperimentResult', {
  ...job,
  runs: Type.Array(Run, { description: 'Those done, in the order of their ends' }),
  current: nullable(Run, { description: 'The one under way, as far as it is' }),
  summary: Summary,
})
export const ExperimentList = answer('ExperimentList', {
  experiments: Type.Array(ExperimentJob, { description: 'The newest first' }),
  next_cursor: NextCursor,
})
export const ExperimentPresetList = answer('ExperimentPresetList', {
  presets: Type.Array(
    Type.Object({
      name: Type.String(),
      summary: Type.String(),
      experiment: ExperimentRequest,
      cost: Cost,
    }),
  ),
  next_cursor: NextCursor,
})
