import { describe, expect, it } from 'vitest'
import { drawBatches, stepsPerEpoch } from '../../../src/experiments/batches.ts'
import { summarizeRun, type Course } from '../../../src/experiments/curve.ts'
import { DIGITS } from '../../../src/experiments/data.ts'
import { readDigits } from '../../../src/experiments/digits.ts'
import type { ExperimentRequest } from '../../../src/experiments/experiment.ts'
import { experimentPresets } from '../../../src/experiments/presets.ts'
import { planExperiment } from '../../../src/experiments/resolve.ts'
import { summarize } from '../../../src/experiments/summary.ts'
import { refusal } from '../support/errors.ts'

const LIMITS = { seconds: 600, parameters: 2_000_000 }
const plan = (request: ExperimentRequest) => planExperiment(request, LIMITS)

describe('the order of the pictures', () => {
  it('uses each once per epoch except those that fill no batch, in a different order per epoch and seed', () => {
    const batchAt = drawBatches(7, 100)
    expect(stepsPerEpoch(100)).toBe(14)
    const epoch = (n: number) => Array.from({ length: 14 }, (_, step) => batchAt(14 * n + step)).flat()
    const [first, second] = [epoch(0), epoch(1)]
    for (const order of [first, second]) {
      expect(new Set(order).size).toBe(1400)
      expect(Math.max(...order)).toBeLessThan(DIGITS.training)
    }
    expect(first).not.toEqual(second)
    expect(epoch(0)).toEqual(first)
    expect(drawBatches(8, 100)(0)).not.toEqual(first.slice(0, 100))
  })

  it('is uniform over pictures', () => {
    const places = Array.from({ length: 400 }, (_, seed) => drawBatches(seed, DIGITS.training)(0).indexOf(0))
    const mean = places.reduce((sum, place) => sum + place, 0) / places.length
    // Four deviations of a uniform's mean.
    expect(Math.abs(mean - 718)).toBeLessThan((4 * 1437) / Math.sqrt(12 * 400))
  })
})

it('training pictures have mean 0 and variance 1', () => {
  const { training, test } = readDigits()
  expect([training.labels.length, test.labels.length]).toEqual([DIGITS.training, DIGITS.test])
  const mean = training.images.reduce((sum, pixel) => sum + pixel, 0) / training.images.length
  const variance = training.images.reduce((sum, pixel) => sum + pixel ** 2, 0) / training.images.length
  expect(mean).toBeCloseTo(0, 5)
  expect(variance).toBeCloseTo(1, 5)
})

describe('an experiment', () => {
  it('has the same id as an equal experiment, and no other', () => {
    const { id, experiment } = plan({})
    const said = plan({
      architecture: { preset: 'resnet20', norm: 'batch' },
      initializers: [{ class_name: 'HeNormal', config: { seed: null } }, 'xavier_uniform'],
      epochs: experiment.steps / stepsPerEpoch(64),
    })
    expect(said.id).toBe(id)
    expect(plan(experiment as ExperimentRequest).id).toBe(id)
    const others: ExperimentRequest[] = [
      { norm: 'none' },
      { seeds: [0, 1] },
      { momentum: 0.8 },
      { target_loss: 0.4 },
      { batch_size: 32 },
      { initializers: ['glorot_uniform', 'he_normal'] },
    ]
    expect(new Set([id, ...others.map((one) => plan(one).id)]).size).toBe(others.length + 1)
  })

  it.each<[ExperimentRequest, string, RegExp]>([
    [{ initializers: ['he_normal', 'he_norml'] }, '#/initializers/1', /he_normal/],
    [{ initializers: ['he_normal', 'HeNormal'] }, '#/initializers/1', /twice/],
    [
      { initializers: ['zeros', { class_name: 'TruncatedNormal', config: { stddev: -1 } }] },
      '#/initializers/1/config/stddev',
      /./,
    ],
    [{ initializers: ['dirac', 'he_normal'] }, '#/initializers/0', /./],
    [{ learning_rates: [0.1, 0.1] }, '#/learning_rates/1', /twice/],
    [{ steps: 10, epochs: 1 }, '#/epochs', /one of them/],
    [
      { architecture: { preset: 'resnet20', input_shape: [32, 32, 3] } },
      '#/architecture/input_shape',
      /8,8,1/,
    ],
    [{ architecture: { preset: 'resnet20', norm: 'batch' }, norm: 'none' }, '#/norm', /one of them/],
    [{ architecture: 'resnet18' }, '#/architecture', /parameters/],
    [
      { steps: 10_000 },
      '#/steps',
      /would take about .* s: 18 runs, 180000 steps .* multiply-adds; at most 600 s/,
    ],
  ])('%j is rejected', (request, pointer, says) => {
    const { errors, message } = refusal(() => plan(request))
    expect(errors.map((error) => error.pointer)).toContain(pointer)
    expect(message).toMatch(says)
  })

  it('presets are valid', () => {
    for (const { experiment } of Object.values(experimentPresets))
      expect(plan(experiment).cost.estimated_seconds).toBeLessThan(LIMITS.seconds)
  })
})

const course = (losses: number[], over: Partial<Course> = {}): Course => ({
  ...{ initializer: 0, learningRate: 0.1, seed: 0, losses, diverged: false, accuracy: 0.5, ms: 1 },
  ...over,
})

describe('a run', () => {
  it('has a curve of means over the steps since the previous point', () => {
    const run = summarizeRun(course(Array.from({ length: 200 }, (_, step) => step)), 200, 1)
    expect(run.steps).toHaveLength(50)
    expect([run.steps[0], run.steps.at(-1)]).toEqual([4, 200])
    expect([run.loss[0], run.loss.at(-1)]).toEqual([1.5, 197.5])
    expect(run.final_loss).toBe(189.5)
  })

  it('reaches a loss when the mean of ten steps does', () => {
    const losses = [0.1, ...Array<number>(20).fill(2), ...Array<number>(20).fill(0.3)]
    expect(summarizeRun(course(losses), losses.length, 0.5).steps_to_target).toBe(30)
    expect(summarizeRun(course(losses), losses.length, 0.2).steps_to_target).toBeNull()
  })

  it('has no final loss if it diverged', () => {
    const run = summarizeRun(course([3, Infinity], { diverged: true, accuracy: null }), 200, 0.5)
    expect(run).toMatchObject({ steps: [], final_loss: NaN, test_accuracy: null, steps_to_target: null })
  })
})

describe('the summary', () => {
  const { experiment } = plan({
    initializers: ['he_normal', 'zeros'],
    learning_rates: [0.1, 1],
    seeds: [0, 1, 2],
    steps: 10,
  })
  const runs = (initializer: number, learningRate: number, finals: readonly number[]) =>
    finals.map((final, seed) => {
      const diverged = Number.isNaN(final)
      const accuracy = diverged ? null : 0.5
      const losses = Array<number>(10).fill(final)
      return summarizeRun(course(losses, { initializer, learningRate, seed, diverged, accuracy }), 10, 0.5)
    })
  const summary = (...some: ReturnType<typeof runs>[]) => summarize(experiment, some.flat(), true)

  it('uses the best learning rate without a diverged run, and names the best initializer', () => {
    const { best, ranking, verdict, groups } = summary(
      runs(0, 0.1, [0.2, 0.21, 0.22]),
      runs(0, 1, [0.01, 0.01, NaN]),
      runs(1, 0.1, [2.3, 2.31, 2.3]),
      runs(1, 1, [2.4, 2.4, 2.41]),
    )
    expect(best).toEqual([
      { initializer: 0, learning_rate: 0.1, trains_with: [0.1] },
      { initializer: 1, learning_rate: 0.1, trains_with: [] },
    ])
    expect(ranking).toEqual([
      { rank: 1, initializers: [0] },
      { rank: 2, initializers: [1] },
    ])
    expect(verdict).toMatch(
      /^HeNormal \(0\.21, 95 % .*, at 0\.1\) is ahead .* Zeros trains with none of the learning rates/,
    )
    expect(groups[0]).toMatchObject({ trains: true, diverged: 0, test_accuracy: { mean: 0.5 } })
    expect(groups[0]?.curve).toMatchObject({ low: Array(10).fill(0.2), high: Array(10).fill(0.22) })
    // By hand: the mean of the logarithms, and 4.302653 times its standard error either way.
    const logs = [0.2, 0.21, 0.22].map(Math.log)
    const mean = logs.reduce((sum, log) => sum + log, 0) / 3
    const error = Math.sqrt(logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / 2 / 3)
    expect(groups[0]?.final_loss.mean).toBeCloseTo(Math.exp(mean), 10)
    expect(groups[0]?.final_loss.interval?.[1]).toBeCloseTo(Math.exp(mean + 4.302653 * error), 8)
    expect(groups[1]).toMatchObject({ diverged: 1, final_loss: { mean: NaN }, test_accuracy: null })
  })

  it('ties overlapping intervals', () => {
    const { ranking, verdict } = summary(runs(0, 0.1, [0.2, 0.3, 0.4]), runs(1, 0.1, [0.25, 0.3, 0.36]))
    expect(ranking).toEqual([{ rank: 1, initializers: [0, 1] }])
    expect(verdict).toMatch(/^A tie .* the intervals overlap/)
  })

  it('separates nothing with one seed', () => {
    const one = { ...experiment, seeds: [0] }
    const { verdict } = summarize(one, [...runs(0, 0.1, [0.1]), ...runs(1, 0.1, [0.9])], true)
    expect(verdict).toMatch(/^One seed gives no ranking/)
  })

  it('reports initializers that do not train, or all diverged', () => {
    const { verdict, best } = summary(runs(0, 0.1, [NaN, NaN, NaN]), runs(1, 0.1, [2.3, 2.3, 2.3]))
    expect(verdict).toMatch(/^Nothing trains\. HeNormal .*every run diverges\. Zeros .* final loss is 2\.3\./)
    expect(best[0]?.learning_rate).toBeNull()
  })

  it('has no verdict before the end', () => {
    expect(summarize(experiment, runs(0, 0.1, [0.2]), false).verdict).toBeNull()
  })
})
