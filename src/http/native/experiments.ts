import { affordableMemory } from '../../analysis/memory-estimate.ts'
import { ExperimentRequest } from '../../experiments/experiment.ts'
import { experimentPresets } from '../../experiments/presets.ts'
import { planExperiment } from '../../experiments/resolve.ts'
import type { ExperimentJob as Job } from '../../serving/experiments/experiment-job.ts'
import { paginate } from '../shared/query.ts'
import { Nothing, Page } from '../shared/schema-parts.ts'
import {
  ExperimentId,
  ExperimentJob,
  ExperimentList,
  ExperimentPresetList,
  ExperimentResult,
} from './experiment-schemas.ts'
import type { App } from '../shared/app-instance.ts'
import type { Config } from '../../config.ts'
import type { Experiments } from '../../serving/experiments/experiment-runner.ts'

/** Limits the state that is sent between the processes with every part of a training. */
const MAX_PARAMETERS = 2_000_000

interface Context {
  readonly experiments: Experiments
  readonly config: Pick<Config, 'MAX_EXPERIMENT_SECONDS' | 'ANALYSIS_MEMORY_BYTES'>
}

/** Experiments: training runs that compare initializers, as jobs to create, poll and cancel. */
export function registerExperimentRoutes(app: App, { experiments, config }: Context): void {
  const tags = ['experiments']
  const limits = { seconds: config.MAX_EXPERIMENT_SECONDS, parameters: MAX_PARAMETERS }

  app.post(
    '/v1/experiments',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'createExperiment',
        tags,
        summary:
          'Trains a network on the digits with every initializer, learning rate and seed; returns a job to poll',
        body: ExperimentRequest,
        response: { 200: ExperimentJob, 202: ExperimentJob },
      },
    },
    ({ body }, reply) => {
      const planned = planExperiment(body, limits)
      affordableMemory(
        planned.plan,
        planned.experiment.batch_size,
        config.ANALYSIS_MEMORY_BYTES,
        '#/batch_size',
      )
      const job = experiments.submit(planned)
      void reply.code(job.finished ? 200 : 202).header('location', `/v1/experiments/${planned.id}`)
      return viewJob(job)
    },
  )

  app.get(
    '/v1/experiments',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listExperiments',
        tags,
        summary: 'Lists queued, running and finished experiments, without results',
        querystring: Page,
        response: { 200: ExperimentList },
      },
    },
    ({ query }) => {
      const { items, next_cursor } = paginate(experiments.list(), query)
      return { experiments: items.map(viewJob), next_cursor }
    },
  )

  app.get(
    '/v1/experiment-presets',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listExperimentPresets',
        tags,
        summary: 'Lists example experiments, as request bodies, with their cost',
        querystring: Page,
        response: { 200: ExperimentPresetList },
      },
    },
    ({ query }) => {
      const { items, next_cursor } = paginate(Object.entries(experimentPresets), query)
      const presets = items.map(([name, { summary, experiment }]) => ({
        ...{ name, summary, experiment },
        cost: planExperiment(experiment, { ...limits, seconds: Infinity }).cost,
      }))
      return { presets, next_cursor }
    },
  )

  app.get(
    '/v1/experiments/:id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getExperiment',
        tags,
        summary: 'Gets an experiment with its progress, runs and summary',
        params: ExperimentId,
        response: { 200: ExperimentResult },
      },
    },
    ({ params }) => {
      const job = experiments.find(params.id)
      const { runs, current, summary } = job
      return { ...viewJob(job), runs: [...runs], current, summary }
    },
  )

  app.delete(
    '/v1/experiments/:id',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deleteExperiment',
        tags,
        summary: 'Cancels a queued or running experiment and keeps its results, or removes a finished one',
        params: ExperimentId,
        response: { 204: Nothing('Cancelled or removed') },
      },
    },
    ({ params }, reply) => {
      experiments.delete(params.id)
      return reply.code(204).send()
    },
  )
}

function viewJob(job: Job) {
  const { planned, state, progress, lastError, createdAt, startedAt, finishedAt } = job
  const { id, experiment, cost } = planned
  return {
    ...{ id, state, last_error: lastError, experiment, cost, progress },
    created_at: createdAt.toISOString(),
    started_at: startedAt?.toISOString() ?? null,
    finished_at: finishedAt?.toISOString() ?? null,
  }
}
