import { inKerasOrder, kerasName } from './keras-names.ts'
import type { Parameter } from './shapes.ts'
import type { Architecture } from './specification.ts'
import { torchvisionAxes, torchvisionName, torchvisionProblem } from './torchvision-names.ts'

/** Naming schemes and axis orders of weights files. */
export const layouts = ['resinit', 'torchvision', 'keras'] as const
export type Layout = (typeof layouts)[number]

/** A tensor of a weights file. */
export interface FileTensor {
  readonly name: string
  readonly shape: readonly number[]
  /**
   * I64 is torch's count of the batches that a norm has seen. It has no effect: 0 is written and the value is
   * not read.
   */
  readonly dtype: 'F32' | 'I64'
  /** The parameter whose values it holds, or the norm's parameter that the count belongs to. */
  readonly parameter: Parameter
  /** Axis i of the tensor is the parameter's axis axes[i]. */
  readonly axes: readonly number[]
}

interface Network {
  readonly specification: { readonly architecture: Architecture }
  readonly parameters: readonly Parameter[]
}

const FORMS: Readonly<Record<Layout, RegExp>> = {
  resinit: /^(stem|stage\d+|head)\//,
  torchvision: /^(conv1|bn1|fc|layer\d+\.\d+)\./,
  keras: /^(conv\d+_|post_bn\/|predictions\/)/,
}

/** The layout that matches most of a file's names. */
export function detectLayout(names: readonly string[]): Layout {
  const fits = (layout: Layout): number => names.filter((name) => FORMS[layout].test(name)).length
  return layouts.reduce((best, layout) => (fits(layout) > fits(best) ? layout : best))
}

/** The reason why a network has no names in a layout; undefined if it has. */
export function layoutProblem(
  layout: Layout,
  { specification: { architecture }, parameters }: Network,
): string | undefined {
  const nameless = parameters.find((parameter) => nameIn(layout, parameter, architecture) === undefined)
  const reason =
    (layout === 'torchvision' ? torchvisionProblem(architecture) : undefined) ??
    (nameless && `it has no ${nameless.name}`)
  return reason === undefined ? undefined : `${layout} has no names for this network: ${reason}`
}

/** All tensors of a file in a layout that supports the network, in file order. */
export function tensorsIn(
  layout: Layout,
  { specification: { architecture }, parameters }: Network,
): FileTensor[] {
  const ordered = layout === 'keras' ? inKerasOrder(parameters, architecture) : parameters
  const tensors = ordered.map((parameter): FileTensor => {
    const { shape } = parameter
    const axes = layout === 'torchvision' ? torchvisionAxes(parameter) : shape.map((_, axis) => axis)
    return {
      name: nameIn(layout, parameter, architecture) ?? parameter.name,
      shape: axes.map((axis) => shape[axis] ?? 1),
      dtype: 'F32',
      parameter,
      axes,
    }
  })
  // The wider type comes first, so every tensor is aligned: torch views them in place.
  return layout === 'torchvision' ? [...countNames(parameters), ...tensors] : tensors
}

function countNames(parameters: readonly Parameter[]): FileTensor[] {
  return parameters.flatMap((parameter) => {
    if (parameter.role !== 'moving_variance') return []
    const name = torchvisionName(parameter, 'num_batches_tracked') ?? parameter.name
    return [{ name, shape: [], dtype: 'I64', parameter, axes: [] }]
  })
}

function nameIn(layout: Layout, parameter: Parameter, architecture: Architecture): string | undefined {
  if (layout === 'torchvision') return torchvisionName(parameter)
  return layout === 'keras' ? kerasName(parameter, architecture) : parameter.name
}
