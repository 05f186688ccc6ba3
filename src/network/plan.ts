import { fieldError } from '../common/errors.ts'
import { sizeOf } from '../initializers/fans.ts'
import { adviceOn } from './advice.ts'
import { identify } from './identity.ts'
import { initializeParameters, isBuffer, type InitializedParameter } from './parameters.ts'
import { residualNetwork } from './residual-network.ts'
import { resolveSpecification } from './resolve.ts'
import { ShapesExecutor, type Layer, type Parameter } from './shapes.ts'
import type { Specification, SpecificationRequest } from './specification.ts'

/** All properties of a network that follow from its specification without computing a tensor. */
export interface Plan {
  readonly id: string
  readonly specification: Specification
  readonly layers: readonly Layer[]
  /** Trainable parameters and buffers in creation order, which is the order of weights files and digests. */
  readonly parameters: readonly Parameter[]
  readonly initialized: readonly InitializedParameter[]
  readonly totals: { readonly parameters: number; readonly multiplyAdds: number; readonly bytes: number }
  readonly advice: readonly string[]
}

/**
 * Resolves a request and plans the network. Throws INVALID_REQUEST, SHAPE_MISMATCH, or MODEL_TOO_LARGE above the
 * limit.
 */
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
  /** The name of the request's field for shortcuts, for errors. */
  readonly shortcutField?: string
  /** Measured factors of kernels, by name. */
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
      `has ${count.toLocaleString('en')} parameters, more than the limit of ${maxParameters.toLocaleString('en')}; make the network smaller, or raise MAX_MODEL_PARAMETERS`,
      'MODEL_TOO_LARGE',
    )
  }
  const totals = {
    parameters: count,
    multiplyAdds: total(shapes.layers.map(({ multiplyAdds }) => multiplyAdds)),
    bytes: 4 * total(parameters.map(({ shape }) => sizeOf(shape))),
  }
  const initialized = initializeParameters(parameters, specification, factors)
  return {
    id: identify({ specification, initialized }),
    specification,
    layers: shapes.layers,
    parameters,
    initialized,
    totals,
    advice: adviceOn(specification, initialized),
  }
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
