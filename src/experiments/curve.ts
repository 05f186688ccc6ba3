import { CURVE_POINTS, SMOOTHING, type Run } from './results.ts'

/** The recorded steps of a run. */
export interface Course {
  readonly initializer: number
  readonly learningRate: number
  readonly seed: number
  readonly losses: readonly number[]
  readonly diverged: boolean
  readonly accuracy: number | null
  readonly ms: number
}

/** Summarizes a run of `steps` steps, or its completed steps. */
export function summarizeRun(course: Course, steps: number, targetLoss: number): Run {
  const { losses, diverged } = course
  const points = selectPoints(steps).filter((step) => step <= losses.length)
  return {
    ...{ initializer: course.initializer, learning_rate: course.learningRate, seed: course.seed },
    steps: points,
    loss: points.map((step, index) => mean(losses.slice(points[index - 1] ?? 0, step))),
    final_loss: diverged ? NaN : mean(losses.slice(-Math.ceil(steps / 10))),
    steps_to_target: findStep(targetLoss, losses),
    test_accuracy: course.accuracy,
    diverged,
    ms: Math.round(course.ms),
  }
}

/** The last steps of stretches of almost equal length, the same for all runs with this number of steps. */
function selectPoints(steps: number): number[] {
  const count = Math.min(steps, CURVE_POINTS)
  return Array.from({ length: count }, (_, index) => Math.round(((index + 1) * steps) / count))
}

function findStep(target: number, losses: readonly number[]): number | null {
  const window = Math.min(SMOOTHING, losses.length)
  const step = losses.findIndex(
    (_, index) => index + 1 >= window && mean(losses.slice(index + 1 - window, index + 1)) <= target,
  )
  return step < 0 ? null : step + 1
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
