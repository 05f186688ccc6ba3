import { fieldError } from '../errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import { identify } from './identity.ts'
import { initializeParameters, isBuffer, type InitializedParameter } from './parameters.ts'
import { residualNetwork } from './residual-network.ts'
import { resolveSpecification } from './resolve.ts'
import { ShapesExecutor, type Layer, type Parameter } from './shapes.ts'
import type { Specification, SpecificationRequest } from './specification.ts'

/** All that can be known of a network without a tensor. */
export interface Plan {
  readonly id: string
  readonly specification: Specification
  readonly layers: readonly Layer[]
  /** Trainable parameters and buffers, in creation order: the order of weights files and digests. */
  readonly parameters: readonly Parameter[]
  readonly initialized: readonly InitializedParameter[]
  readonly totals: { readonly parameters: number; readonly multiplyAdds: number; readonly bytes: number }
  readonly advice: readonly string[]
}

/** Resolves a request and plans it. Throws INVALID_REQUEST or SHAPE_MISMATCH, or MODEL_TOO_LARGE above the limit. */
export function planRequest(request: SpecificationRequest, maxParameters: number): Plan {
  const { architecture } = request
  const articles = typeof architecture === 'object' && architecture.projection_shortcut !== undefined
  return planSpecification(resolveSpecification(request), {
    maxParameters,
    shortcutField: articles ? 'projection_shortcut' : 'shortcut',
  })
}

interface PlanOptions {
  readonly maxParameters?: number
  /** The word the client used for shortcuts. */
  readonly shortcutField?: string
  /** Of kernels, by name, as they were measured. */
  readonly factors?: Readonly<Record<string, number>>
}

export function planSpecification(
  specification: Specification,
  { maxParameters = Number.MAX_SAFE_INTEGER, shortcutField = 'shortcut', factors = {} }: PlanOptions = {},
): Plan {
  const shapes = new ShapesExecutor(shortcutField)
  residualNetwork(shapes, specification, { shape: specification.architecture.input_shape })
  const parameters = shapes.parameters
  const trainable = parameters.filter((parameter) => !isBuffer(parameter))
  const count = total(trainable.map(({ shape }) => sizeOf(shape)))
  if (count > maxParameters) {
    throw fieldError(
      '#/architecture',
      `has ${count.toLocaleString('en')} parameters, more than the ${maxParameters.toLocaleString('en')} this service allows; make the network smaller, or raise MAX_MODEL_PARAMETERS`,
      'MODEL_TOO_LARGE',
    )
  }
  const totals = {
    parameters: count,
    multiplyAdds: total(shapes.layers.map(({ multiplyAdds }) => multiplyAdds)),
    bytes: 4 * total(parameters.map(({ shape }) => sizeOf(shape))),
  }
  return {
    id: identify(specification),
    specification,
    layers: shapes.layers,
    parameters,
    initialized: initializeParameters(parameters, specification, factors),
    totals,
    advice: adviceOn(trainable, totals.parameters),
  }
}

/** Half of all parameters in the dense layer is worth saying: a global pool would save them. */
function adviceOn(parameters: readonly Parameter[], count: number): string[] {
  const dense = parameters.find(({ name }) => name === 'head/dense/kernel')
  const size = sizeOf(dense?.shape ?? [0])
  if (dense === undefined || size < count / 2 || size < 10_000_000) return []
  const [features = 0, units = 0] = dense.shape
  return [
    `The dense layer holds ${millions(size)} of the ${millions(count)} million parameters, because ${features.toLocaleString('en')} features reach it; "head": {"pool": "global_average"} would leave ${String(units)} weights per channel.`,
  ]
}

function millions(value: number): string {
  return (value / 1e6).toFixed(1)
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
