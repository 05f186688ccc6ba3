import Type from 'typebox'
import { Cost } from '../../experiments/cost.ts'
import { Experiment as Resolved, ExperimentRequest } from '../../experiments/experiment.ts'
import { Run, Summary } from '../../experiments/results.ts'
import { answer, nullable, Num } from '../../common/schema.ts'
import { experimentStates } from '../../serving/experiments/experiment-job.ts'
import { NextCursor } from '../shared/schema-parts.ts'

export const ExperimentId = Type.Object({ id: Type.String({ description: 'Id of an experiment' }) })

const time = nullable(Type.String(), { description: 'RFC 3339' })
const job = {
  id: Type.String({ description: 'SHA-256 of the canonical form; equal experiments have equal ids' }),
  state: Type.Enum([...experimentStates]),
  last_error: nullable(Type.String()),
  experiment: Resolved,
  cost: Cost,
  progress: Type.Object({
    runs_done: Type.Integer(),
    runs: Type.Integer(),
    step: Type.Integer({ description: 'Completed steps of the current run' }),
    steps: Type.Integer({ description: 'Steps per run' }),
    loss: nullable(Num, { description: 'Loss of the last step; null between runs' }),
  }),
  created_at: Type.String(),
  started_at: time,
  finished_at: time,
}
export const ExperimentJob = answer('ExperimentJob', job)
export const ExperimentResult = answer('ExperimentResult', {
  ...job,
  runs: Type.Array(Run, { description: 'Completed runs, in order of completion' }),
  current: nullable(Run, { description: 'The current run so far' }),
  summary: Summary,
})
export const ExperimentList = answer('ExperimentList', {
  experiments: Type.Array(ExperimentJob, { description: 'Newest first' }),
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
