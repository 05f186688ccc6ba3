import { fieldError, fieldErrors, pointerTo } from '../common/errors.ts'
import { detectLayout, layoutProblem, tensorsIn, type Layout } from './layouts.ts'
import type { Plan } from './plan.ts'
import type { Parameter } from './shapes.ts'

export interface FoundTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}
export interface LoadOptions {
  readonly missing: 'error' | 'initialize'
  readonly extra: 'error' | 'ignore'
  readonly prefix: string
}
export interface WeightsMatch {
  readonly names: Layout
  readonly prefix: string
  readonly tensors: readonly {
    readonly parameter: Parameter
    readonly source: string | undefined
    readonly axes: readonly number[]
  }[]
  readonly dtypes: readonly string[]
  readonly initialized: readonly string[]
  readonly ignored: readonly string[]
}

export function matchWeights(found: readonly FoundTensor[], plan: Plan, load: LoadOptions): WeightsMatch {
  const prefix =
    load.prefix === 'auto'
      ? found.every(({ name }) => name.startsWith('module.'))
        ? 'module.'
        : ''
      : load.prefix
  const byName = new Map(found.map((tensor) => [tensor.name.slice(prefix.length), tensor]))
  const names = detectLayout([...byName.keys()])
  const problem = layoutProblem(names, plan)
  if (problem !== undefined) throw fieldError('#/weights', problem, 'INVALID_WEIGHTS')
  const errors: { pointer: string; detail: string }[] = []
  const used = new Set<string>()
  const tensors = tensorsIn(names, plan).flatMap(({ name, shape, dtype, parameter, axes }) => {
    used.add(name)
    if (dtype !== 'F32') return []
    const tensor = byName.get(name)
    const same = tensor?.shape.join() === shape.join()
    if (!same && load.missing === 'error')
      errors.push({
        pointer: pointerTo('#/weights', name),
        detail:
          tensor === undefined
            ? `is missing; [${shape.join(', ')}] float32 is expected`
            : `must have shape [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`,
      })
    return [{ parameter, source: same ? tensor?.name : undefined, axes }]
  })
  const ignored = [...byName].flatMap(([name, tensor]) => (used.has(name) ? [] : [tensor.name]))
  if (load.extra === 'error')
    for (const name of ignored)
      errors.push({ pointer: pointerTo('#/weights', name), detail: 'is not a parameter of this network' })
  if (errors.length > 0) throw fieldErrors(errors, 'INVALID_WEIGHTS')
  const byParameter = new Map(tensors.map((tensor) => [tensor.parameter, tensor]))
  const ordered = plan.parameters.flatMap((parameter) => byParameter.get(parameter) ?? [])
  return {
    names,
    prefix,
    tensors: ordered,
    dtypes: [...new Set(found.map(({ dtype }) => dtype))],
    initialized: ordered.flatMap(({ parameter, source }) => (source === undefined ? [parameter.name] : [])),
    ignored,
  }
}
