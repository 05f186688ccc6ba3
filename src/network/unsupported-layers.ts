import { isTorch, type Layout } from './layouts.ts'
import { shownBy } from './infer-architecture.ts'
import type { FoundTensor, LocatedNetwork } from './locate-network.ts'
import { fieldError, pointerTo, shownName, type ServiceError } from '../common/errors.ts'
import { torchAxes } from './torch-roles.ts'

/** Names of a network's layers other than the dense layer, after the prefix. */
const BODY: Readonly<Record<Layout, RegExp>> = {
  resinit: /^(stem|stage\d+)\//,
  torchvision: /^(layer\d+|conv1|bn1)\./,
  keras: /^(conv\d+_|post_)/,
  transformers: /^(embedder|encoder)\./,
}

/** Layers by their names, that residual networks of this service do not have. */
const LAYERS: readonly (readonly [RegExp, string])[] = [
  [/\.(se|se_module|attn|eca|cbam|gc)\./, 'a squeeze-and-excitation or attention layer'],
  [/^conv1\.\d/, 'a deep stem of several convolutions (ResNet-C, ResNet-D)'],
  [/downsample\.2\./, 'a shortcut with an average pool (ResNet-D)'],
  [/\.aa\./, 'an anti-aliasing layer'],
]

/** The error for the first tensor within the blocks or the stem whose layer has no known name; undefined if none. */
export function surplusProblem(
  found: readonly FoundTensor[],
  { names, bodyPrefix, tensors }: LocatedNetwork,
): ServiceError | undefined {
  const used = new Set(tensors.values())
  const surplus = found.find(
    (tensor) =>
      !used.has(tensor) &&
      tensor.name.startsWith(bodyPrefix) &&
      BODY[names].test(tensor.name.slice(bodyPrefix.length)),
  )
  if (surplus === undefined) return undefined
  const { name } = surplus
  const layer = LAYERS.find(([pattern]) => pattern.test(name.slice(bodyPrefix.length)))?.[1]
  return fieldError(
    pointerTo('#/weights', shownName(name)),
    `belongs to ${layer ?? 'a layer'} that this service's residual networks do not have`,
    'INVALID_WEIGHTS',
  )
}

/** The error for a tensor that differs from the network which the other tensors show. */
export function shapeProblem(
  located: LocatedNetwork,
  parameter: string,
  shape: readonly number[],
  expected: readonly number[] | undefined,
): ServiceError {
  if (expected === undefined)
    return shownBy(located, parameter, "belongs to a layer that this service's residual networks do not have")
  const text = (axes: readonly number[]): string => {
    const inFile = isTorch(located.names) ? torchAxes(axes).map((axis) => axes[axis] ?? 1) : axes
    return `[${inFile.join(', ')}]`
  }
  const [input = 0, wanted = 0] = [shape[2], expected[2]]
  const sameOthers = [0, 1, 3].every((axis) => shape[axis] === expected[axis])
  const isGrouped = shape.length === 4 && sameOthers && input < wanted && wanted % input === 0
  const reason = isGrouped
    ? `; it is a grouped convolution of ${String(wanted / input)} groups, as in ResNeXt, which this service does not build`
    : '; the other tensors show a residual network with that shape'
  return shownBy(located, parameter, `has shape ${text(shape)} instead of ${text(expected)}${reason}`)
}
