import { createHash } from 'node:crypto'
import { canonicalJson } from '../common/canonical-json.ts'
import { fieldError, fieldErrors, ServiceError } from '../common/errors.ts'
import { completeInitializer } from '../initializers/catalogue.ts'
import { canonicalForm } from '../network/identity.ts'
import { planSpecification, type Plan } from '../network/plan.ts'
import { resolveSpecification } from '../network/resolve.ts'
import type { Specification, SpecificationRequest } from '../network/specification.ts'
import { stepsPerEpoch } from './batches.ts'
import { computeCost, type Cost } from './cost.ts'
import { DIGITS } from './data.ts'
import { DEFAULTS, type Experiment, type ExperimentRequest } from './experiment.ts'

/** Limits of one experiment. */
export interface ExperimentLimits {
  readonly seconds: number
  readonly parameters: number
}

/** An experiment that passed all checks. */
export interface PlannedExperiment {
  /** SHA-256 of the canonical form: equal experiments have equal ids. */
  readonly id: string
  readonly experiment: Experiment
  readonly cost: Cost
  /** The specification for each initializer, without the seed. */
  readonly specifications: readonly Specification[]
  /** The plan for one initializer; the others differ in values only. */
  readonly plan: Plan
}

/**
 * Fills every field of an experiment and computes its cost. Throws INVALID_REQUEST or SHAPE_MISMATCH if the
 * experiment is not valid, and INVALID_REQUEST with the cost if it exceeds the limits.
 */
export function planExperiment(request: ExperimentRequest, limits: ExperimentLimits): PlannedExperiment {
  const { learning_rates = DEFAULTS.learning_rates, seeds = DEFAULTS.seeds } = request
  const { batch_size = DEFAULTS.batch_size, momentum = DEFAULTS.momentum } = request
  const { target_loss = DEFAULTS.target_loss, initializers: references = DEFAULTS.initializers } = request
  const initializers = references.map((reference, index) =>
    completeInitializer(reference, `#/initializers/${String(index)}`),
  )
  assertDistinct('learning_rates', learning_rates)
  assertDistinct('seeds', seeds)
  const architecture = resolveArchitecture(request)
  const plans = initializers.map((kernel, index) => {
    const { residual_scheme = 'none' } = request
    const { classes } = DIGITS
    return planAt(
      { architecture, classes, initializers: { kernel }, residual_scheme, preprocessing: 'none' },
      index,
    )
  })
  const forms = plans.map(canonicalForm)
  assertDistinct('initializers', forms)
  const [plan] = plans
  if (plan === undefined) throw fieldError('#/initializers', 'needs at least one')

  const { specification } = plan
  const experiment = {
    architecture: specification.architecture,
    residual_scheme: specification.residual_scheme,
    initializers,
    learning_rates: [...learning_rates],
    seeds: [...seeds],
    steps: countSteps(request, batch_size),
    ...{ batch_size, momentum, target_loss },
  }
  const runs = initializers.length * learning_rates.length * seeds.length
  const cost = computeCost(plan, { runs, steps: experiment.steps, batchSize: batch_size })
  assertAffordable(cost, plan, limits)
  const { architecture: _, initializers: __, residual_scheme: ___, ...settings } = experiment
  const text = canonicalJson({ networks: forms, ...settings })
  return {
    id: createHash('sha256').update(text).digest('hex'),
    ...{ experiment, cost, plan },
    specifications: plans.map((one) => one.specification),
  }
}

/** Replaces a preset's input shape by the digits'. */
function resolveArchitecture({
  architecture = DEFAULTS.architecture,
  norm,
}: ExperimentRequest): SpecificationRequest['architecture'] {
  const given = typeof architecture === 'string' ? { preset: architecture } : architecture
  const { input_shape: input = DIGITS.shape } = given
  if (input.join() !== DIGITS.shape.join())
    throw fieldError(
      '#/architecture/input_shape',
      `must be ${JSON.stringify(DIGITS.shape)}, the shape of the digits; omit it`,
    )
  if (norm !== undefined && given.norm !== undefined)
    throw fieldError('#/norm', 'is also given in the architecture; give one of them')
  return { ...given, input_shape: [...DIGITS.shape], ...(norm === undefined ? {} : { norm }) }
}

/** Plans a network. Pointers of errors refer to the initializer's position in the list. */
function planAt(request: SpecificationRequest, index: number): Plan {
  try {
    return planSpecification(resolveSpecification(request))
  } catch (error) {
    if (!(error instanceof ServiceError) || error.errors.length === 0) throw error
    const errors = error.errors.map(({ pointer, detail }) => ({
      pointer: pointer.replace('#/initializers/kernel', `#/initializers/${String(index)}`),
      detail,
    }))
    throw fieldErrors(errors, error.code)
  }
}

function countSteps({ steps, epochs }: ExperimentRequest, batchSize: number): number {
  if (epochs === undefined) return steps ?? DEFAULTS.steps
  if (steps !== undefined) throw fieldError('#/epochs', 'contradicts steps; give one of them')
  return epochs * stepsPerEpoch(batchSize)
}

function assertDistinct(field: string, values: readonly unknown[]): void {
  const known = values.map((value) => canonicalJson(value))
  const twice = known.findIndex((value, index) => known.indexOf(value) < index)
  if (twice >= 0) throw fieldError(`#/${field}/${String(twice)}`, 'occurs twice; omit one of them')
}

function assertAffordable(cost: Cost, { totals }: Plan, { seconds, parameters }: ExperimentLimits): void {
  if (totals.parameters > parameters)
    throw fieldError(
      '#/architecture',
      `has ${totals.parameters.toLocaleString('en')} parameters, more than the limit of ${parameters.toLocaleString('en')}; use a smaller network`,
    )
  if (cost.estimated_seconds <= seconds) return
  const macs = (cost.multiply_adds / 1e9).toPrecision(3)
  throw fieldError(
    '#/steps',
    `would take about ${String(cost.estimated_seconds)} s: ${String(cost.runs)} runs, ${String(cost.steps)} steps together, ${macs} billion multiply-adds; at most ${String(seconds)} s are allowed (MAX_EXPERIMENT_SECONDS). Use fewer steps, seeds, learning rates or initializers, or a smaller network`,
  )
}
