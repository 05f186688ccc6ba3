import { ServiceError, invalidWeights } from '../common/errors.ts'
import { checker } from '../common/validation.ts'
import { presets } from './architectures.ts'
import { readArchitecture, readShapes } from './infer-architecture.ts'
import type { Shapes } from './infer-stages.ts'
import {
  locateNetwork,
  unknownNames,
  withoutCounters,
  type FoundTensor,
  type LocatedNetwork,
} from './locate-network.ts'
import { planRequest, type Plan } from './plan.ts'
import { SpecificationRequest } from './specification.ts'
import { shapeProblem, surplusProblem } from './unsupported-layers.ts'

const checkSpecification = checker(SpecificationRequest)

/**
 * The specification of a file's network, from names and shapes: the architecture, the classes of the dense layer, and
 * the preprocessing of the framework whose names they are. Strides, paddings and epsilons are in no file; they are
 * those of that framework's networks, or of the preset with the same parameters. Throws INVALID_WEIGHTS if the tensors
 * are not those of a residual network of this service.
 */
export function inferSpecification(found: readonly FoundTensor[], prefix: string): SpecificationRequest {
  const weights = withoutCounters(found)
  const located = locateNetwork(weights, prefix)
  if (located === undefined) throw unknownNames(weights, prefix)
  return inferLocated(weights, located)
}

/** The same for tensors whose names are known. */
export function inferLocated(found: readonly FoundTensor[], located: LocatedNetwork): SpecificationRequest {
  const surplus = surplusProblem(found, located)
  if (surplus !== undefined) throw surplus
  const shapes = readShapes(located)
  const architecture = readArchitecture(shapes, located)
  const classes = shapes.get('head/dense/kernel')?.[1] ?? shapes.get('head/dense/bias')?.[0]
  const general: SpecificationRequest = { architecture, ...(classes !== undefined && { classes }) }
  const [problem] = checkSpecification(general)
  if (problem !== undefined) throw notSupported(`${problem.pointer} ${problem.detail}`)
  const plan = planInferred({ ...general, preprocessing: 'none' })
  const preset = presetLike(plan, shapes, classes)
  if (preset !== undefined) return preset
  const misfit = findMisfit(plan, shapes)
  if (misfit !== undefined) throw shapeProblem(located, ...misfit)
  const preprocessing = readPreprocessing(located, plan)
  return { ...general, ...(preprocessing !== undefined && { preprocessing }) }
}

function planInferred(request: SpecificationRequest): Plan {
  try {
    return planRequest(request, Number.MAX_SAFE_INTEGER)
  } catch (error) {
    throw error instanceof ServiceError ? notSupported(error.message) : error
  }
}

function notSupported(reason: string): ServiceError {
  const detail = `describes a network that this service does not build: ${reason}; "spec" can state the architecture`
  return invalidWeights(detail)
}

/** The preset with a network's parameters. No two presets have the same parameters. */
function presetLike(
  plan: Plan,
  shapes: Shapes,
  classes: number | undefined,
): SpecificationRequest | undefined {
  const { stages, input_shape } = plan.specification.architecture
  const [, , channels = 3] = input_shape
  const outline = (of: readonly { readonly blocks: number; readonly filters: number }[] = []): string =>
    of.map(({ blocks, filters }) => `${String(blocks)}x${String(filters)}`).join()
  const names = ({ parameters }: Plan): string => parameters.map(({ name }) => name).join()
  for (const [preset, { architecture, preprocessing }] of Object.entries(presets)) {
    if (outline(architecture.stages) !== outline(stages)) continue
    const [height = 224, width = 224] = architecture.input_shape ?? []
    const request: SpecificationRequest = {
      architecture: channels === 3 ? preset : { preset, input_shape: [height, width, channels] },
      ...(classes !== undefined && { classes }),
      preprocessing: channels === 3 ? preprocessing : 'unit',
    }
    const candidate = planInferred(request)
    if (names(candidate) === names(plan) && findMisfit(candidate, shapes) === undefined) return request
  }
  return undefined
}

/** The first tensor without a parameter of its name and shape: name, shape, the parameter's shape. */
function findMisfit(
  { parameters }: Plan,
  shapes: Shapes,
): [string, readonly number[], readonly number[] | undefined] | undefined {
  const expected = new Map(parameters.map(({ name, shape }) => [name, shape]))
  const misfit = [...shapes].find(([name, shape]) => expected.get(name)?.join() !== shape.join())
  return misfit && [...misfit, expected.get(misfit[0])]
}

/** The preprocessing of the framework whose names they are; undefined for this service's. */
function readPreprocessing(
  { names }: LocatedNetwork,
  { specification: { architecture } }: Plan,
): SpecificationRequest['preprocessing'] {
  if (architecture.input_shape[2] !== 3) return 'unit'
  if (names === 'resinit') return undefined
  if (names !== 'keras') return 'torch'
  return architecture.version === 'v2' ? 'tf' : 'caffe'
}
