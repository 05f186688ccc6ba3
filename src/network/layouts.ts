import { inKerasOrder, kerasName } from './keras-names.ts'
import type { Parameter } from './shapes.ts'
import type { Architecture } from './specification.ts'
import { torchAxes } from './torch-roles.ts'
import { torchProblem, torchvisionName } from './torchvision-names.ts'
import { transformersName } from './transformers-names.ts'

/** The naming schemes of weights files: tensor names and axis orders. The API calls a layout `names`. */
export const layouts = ['resinit', 'torchvision', 'keras', 'transformers'] as const
export type Layout = (typeof layouts)[number]

/** A tensor of a weights file. */
export interface FileTensor {
  readonly name: string
  readonly shape: readonly number[]
  /**
   * I64 only for torch's `num_batches_tracked`, a counter of each norm without effect on predictions: 0 is written,
   * and the value is not read.
   */
  readonly dtype: 'F32' | 'I64'
  /** The parameter with these values; for `num_batches_tracked`, the variance of the same norm. */
  readonly parameter: Parameter
  /** Axis i of the tensor is the parameter's axis axes[i]. */
  readonly axes: readonly number[]
}

interface Network {
  readonly specification: { readonly architecture: Architecture }
  readonly parameters: readonly Parameter[]
}

/** Patterns of the names of each layout, to detect it. */
const FORMS: Readonly<Record<Layout, RegExp>> = {
  resinit: /^(stem|stage\d+|head)\//,
  torchvision: /^(conv1|bn1|fc|layer\d+\.\d+)\./,
  keras: /^(conv\d+_|post_bn\/|predictions\/)/,
  transformers: /^((resnet\.)?(embedder\.embedder|encoder\.stages\.\d+)|classifier\.1)\./,
}

/** Detects the layout that matches most of a file's names. */
export function detectLayout(names: readonly string[]): Layout {
  const fits = (layout: Layout): number => names.filter((name) => FORMS[layout].test(name)).length
  return layouts.reduce((best, layout) => (fits(layout) > fits(best) ? layout : best))
}

/** Returns why a layout has no names for a network; undefined if it has. */
export function layoutProblem(
  layout: Layout,
  { specification: { architecture }, parameters }: Network,
): string | undefined {
  const nameless = parameters.find((parameter) => nameIn(layout, parameter, architecture) === undefined)
  const reason =
    (isTorch(layout) ? torchProblem(architecture) : undefined) ?? (nameless && `it has no ${nameless.name}`)
  return reason === undefined ? undefined : `${layout} has no names for this network: ${reason}`
}

/** All tensors of a file in file order, for a layout that supports the network. */
export function tensorsIn(
  layout: Layout,
  { specification: { architecture }, parameters }: Network,
): FileTensor[] {
  const ordered = layout === 'keras' ? inKerasOrder(parameters, architecture) : parameters
  const tensors = ordered.map((parameter): FileTensor => {
    const { shape } = parameter
    const axes = isTorch(layout) ? torchAxes(shape) : shape.map((_, axis) => axis)
    return {
      name: nameIn(layout, parameter, architecture) ?? parameter.name,
      shape: axes.map((axis) => shape[axis] ?? 1),
      dtype: 'F32',
      parameter,
      axes,
    }
  })
  // The wider type comes first, so that every tensor is aligned and torch can view it in place.
  return isTorch(layout) ? [...countNames(layout, parameters), ...tensors] : tensors
}

function countNames(layout: TorchLayout, parameters: readonly Parameter[]): FileTensor[] {
  return parameters.flatMap((parameter) => {
    if (parameter.role !== 'moving_variance') return []
    const name = TORCH_NAMES[layout](parameter, 'num_batches_tracked') ?? parameter.name
    return [{ name, shape: [], dtype: 'I64', parameter, axes: [] }]
  })
}

const TORCH_NAMES = { torchvision: torchvisionName, transformers: transformersName } as const
type TorchLayout = keyof typeof TORCH_NAMES

/** Whether a layout has torch's axes. */
export function isTorch(layout: Layout): layout is TorchLayout {
  return layout in TORCH_NAMES
}

function nameIn(layout: Layout, parameter: Parameter, architecture: Architecture): string | undefined {
  if (isTorch(layout)) return TORCH_NAMES[layout](parameter)
  return layout === 'keras' ? kerasName(parameter, architecture) : parameter.name
}
