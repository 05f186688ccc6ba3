import { type ServiceError, invalidWeights } from '../common/errors.ts'
import type { ArchitectureRequest } from './specification.ts'

/** Shapes in this service's axes, by the parameters' names. */
export type Shapes = ReadonlyMap<string, readonly number[]>

type Stages = NonNullable<ArchitectureRequest['stages']>
type Rule = 'projection' | 'pool' | 'always' | 'never'

interface InferredStages {
  readonly stages: Stages
  /** The shortcut rule of each stage. */
  readonly rules: Rule[]
  readonly expansion: number
  /** The window of the blocks' convolutions. */
  readonly kernel: number
}

interface StageOptions {
  /** Channels before the first stage. */
  readonly input: number
  readonly bottleneck: boolean
  /** Keras's applications of v2 have strides in the last block, and pools in shortcuts. */
  readonly kerasV2: boolean
}

/** The stages and their shortcuts, from the shapes of the kernels. Throws INVALID_WEIGHTS if they do not show them. */
export function readStages(
  shapes: Shapes,
  { bottleneck, kerasV2, ...options }: StageOptions,
): InferredStages {
  const blocks = countBlocks(shapes)
  const stages: Stages = []
  const rules: Rule[] = []
  let { input } = options
  let kernel = 3
  let expansion = 1
  for (const [index, count] of blocks.entries()) {
    const stage = `stage${String(index + 1)}`
    const find = (layer: string): readonly number[] => {
      for (let block = 1; block <= count; block++) {
        const shape = shapes.get(`${stage}/block${String(block)}/${layer}/kernel`)
        if (shape?.length === 4) return shape
      }
      throw incomplete(`has no kernel of ${stage}/block1/${layer}`)
    }
    const [, , , filters = 0] = find('conv1')
    ;[kernel = 3] = find(bottleneck ? 'conv2' : 'conv1')
    const width = bottleneck ? (find('conv3')[3] ?? 0) : filters
    if (index === 0) expansion = width / filters
    if (bottleneck && width !== expansion * filters) {
      throw incomplete(
        `has ${String(width)} output channels for ${String(filters)} filters in ${stage}, and ${String(expansion)} times the filters in stage1; all stages must have the same expansion`,
      )
    }
    const projected = Array.from({ length: count }, (_, block) =>
      shapes.has(`${stage}/block${String(block + 1)}/shortcut/conv/kernel`),
    )
    const { strides, rule } = readShortcut(projected, input !== width, {
      ...{ stage: index, last: index === blocks.length - 1, kerasV2 },
    })
    if (rule === 'never') {
      throw incomplete(
        `has no projection in ${stage}/block1, where ${String(input)} channels become ${String(width)}; shortcuts without parameters that change the shape are not supported`,
      )
    }
    stages.push({ blocks: count, filters, strides })
    rules.push(rule)
    input = width
  }
  return { stages, rules, expansion, kernel }
}

interface Position {
  readonly kerasV2: boolean
  readonly stage: number
  readonly last: boolean
}

/** Strides are in no file: where the framework's block has them, the shortcut shows the rule. */
function readShortcut(
  [first = false, ...others]: readonly boolean[],
  changes: boolean,
  { stage, last, kerasV2 }: Position,
): { readonly strides: number; readonly rule: Rule } {
  const conventional = (kerasV2 ? last : stage === 0) ? 1 : 2
  if (others.includes(true)) return { strides: conventional, rule: 'always' }
  if (kerasV2) return { strides: conventional, rule: changes && !first ? 'never' : 'pool' }
  if (first) return { strides: changes ? conventional : 2, rule: 'projection' }
  return { strides: 1, rule: changes ? 'never' : 'projection' }
}

/** The number of blocks of each stage. Stages and blocks are numbered without gaps. */
function countBlocks(shapes: Shapes): number[] {
  const stages = new Map<number, Set<number>>()
  for (const name of shapes.keys()) {
    const [, stage, block] = /^stage(\d+)\/block(\d+)\//.exec(name) ?? []
    if (stage === undefined) continue
    const blocks = stages.get(Number(stage)) ?? new Set()
    stages.set(Number(stage), blocks.add(Number(block)))
  }
  return Array.from({ length: stages.size }, (_, index) => {
    const blocks = stages.get(index + 1) ?? new Set()
    for (let block = 1; block <= Math.max(1, blocks.size); block++) {
      if (!blocks.has(block))
        throw incomplete(
          `has no tensor of block ${String(block)} of stage ${String(index + 1)}, but later ones`,
        )
    }
    return blocks.size
  })
}

/** An error for tensors that do not show a network. */
export function incomplete(reason: string): ServiceError {
  return invalidWeights(`${reason}; "spec" can state the architecture`)
}
