import { layoutProblem, tensorsIn, type FileTensor, type Layout } from './layouts.ts'
import { isHead, locateNetwork, unknownNames, withoutCounters, type FoundTensor } from './locate-network.ts'
import type { Plan } from './plan.ts'
import type { Parameter } from './shapes.ts'
import { mismatchProblem, namesProblem, type Differences } from './weights-diagnosis.ts'

/** What a client allows when weights are loaded. */
export interface LoadOptions {
  /** `initialize` draws what the file lacks, and a dense layer of another shape. */
  readonly missing: 'error' | 'initialize'
  readonly extra: 'error' | 'ignore'
  /** The text before all names; `auto` finds it. */
  readonly prefix: string
}

interface MatchedTensor {
  readonly parameter: Parameter
  /** The name of the tensor in the file; undefined if the parameter is to be initialized. */
  readonly source: string | undefined
  /** Axis i of the source is the parameter's axis axes[i]. */
  readonly axes: readonly number[]
}

export interface WeightsMatch {
  readonly names: Layout
  readonly prefix: string
  /** In creation order. */
  readonly tensors: readonly MatchedTensor[]
  /** The dtypes of the tensors that are used, sorted. */
  readonly dtypes: string[]
  /** The names of this service of the parameters that are to be drawn. */
  readonly initialized: string[]
  /** The names in the file of the tensors that are not used. */
  readonly ignored: string[]
}

const HEAD = ['head/dense/kernel', 'head/dense/bias']
const FLOATS = new Set(['F64', 'F32', 'F16', 'BF16'])

/**
 * Assigns the tensors of a file to the parameters of a network. Throws INVALID_WEIGHTS with a diagnosis and at most 20
 * differences.
 */
export function matchWeights(
  found: readonly FoundTensor[],
  plan: Plan,
  { missing, extra, prefix }: LoadOptions,
): WeightsMatch {
  const weights = withoutCounters(found)
  const located = locateNetwork(weights, prefix)
  if (located === undefined) throw unknownNames(weights, prefix)
  const { names, tensors: sources } = located
  const problem = layoutProblem(names, plan)
  if (problem !== undefined) throw namesProblem({ found: weights, located }, problem)
  const expected = new Map(
    tensorsIn(names, plan).flatMap((tensor) => (tensor.dtype === 'F32' ? [[tensor.parameter, tensor]] : [])),
  )
  const differences: Differences = { missing: [], shapes: [], dtypes: [], extra: [] }
  const replacesHead =
    missing === 'initialize' &&
    plan.parameters.some((parameter) => {
      const source = sources.get(parameter.name)
      const tensor = expected.get(parameter)
      return isHead(parameter.name) && source && tensor && !hasShape(source, tensor)
    })
  const used = new Map<string, FoundTensor>()
  const tensors = plan.parameters.map((parameter): MatchedTensor => {
    const source = sources.get(parameter.name)
    const tensor = expected.get(parameter)
    if (tensor === undefined) throw new TypeError(`${parameter.name} has no name`)
    const { axes } = tensor
    if (source === undefined || (replacesHead && isHead(parameter.name))) {
      if (missing === 'error') differences.missing.push(tensor)
      return { parameter, source: undefined, axes }
    }
    used.set(source.name, source)
    if (!hasShape(source, tensor)) differences.shapes.push({ source, tensor })
    else if (!FLOATS.has(source.dtype)) differences.dtypes.push(source)
    return { parameter, source: source.name, axes }
  })
  const unused = weights.filter(({ name }) => !used.has(name))
  const replaced = new Set(replacesHead ? HEAD.map((name) => sources.get(name)) : [])
  if (extra === 'error') differences.extra.push(...unused.filter((tensor) => !replaced.has(tensor)))
  const matched = tensors.filter(({ source }) => source !== undefined)
  const isBodyless = matched.every(({ parameter: { name } }) => isHead(name))
  if (isBodyless || Object.values(differences).some(({ length }) => length > 0))
    throw mismatchProblem({ found: weights, located, plan, differences, matched: matched.length })
  return {
    names,
    prefix: located.prefix,
    tensors,
    dtypes: [...new Set([...used.values()].map(({ dtype }) => dtype))].sort(),
    initialized: tensors.flatMap(({ parameter, source }) => (source === undefined ? [parameter.name] : [])),
    ignored: unused.map(({ name }) => name),
  }
}

function hasShape(source: FoundTensor, expected: FileTensor): boolean {
  return source.shape.join() === expected.shape.join()
}
