/*
 * Residual schemes: initializations of a network's branches with which depth neither amplifies nor attenuates
 * the signal. One table defines them; checks, errors, the catalogue, networks and initializers derive from
 * it.
 */

export const schemeNames = ['none', 'zero_gamma', 'fixup', 'skipinit', 'rezero', 'lsuv'] as const
export type SchemeName = (typeof schemeNames)[number]

export interface ResidualScheme {
  readonly paper: string
  /** The norm that the scheme requires. */
  readonly norm: 'batch' | 'none'
  readonly because: string
  /** The reason why the scheme requires blocks that end in a ReLU (v1, v1.5), if it does. */
  readonly postActivation?: string
  readonly effect: string
  /** A statistic that confirms the scheme before any training. */
  readonly statistic: string
  /** Initializers that replace the defaults. A request's initializers take precedence. */
  readonly initializers?: Readonly<Record<string, string | { class_name: string; config: object }>>
  /** The role of the parameter at the end of each branch that is zero. */
  readonly zeros?: 'gamma' | 'kernel'
  /** Multiplies the kernels of branches by L^(-1/(2m-2)), with L blocks and m convolutions per branch. */
  readonly shrinks?: true
  /** Adds a scalar multiplier at the end of each branch, with this initial value. */
  readonly multiplier?: 'zeros' | 'ones'
  /** Adds a scalar summand before each convolution, activation and dense layer. */
  readonly shifts?: true
  /** Moves the ReLU after the sum to the end of the branch, so that a block with multiplier 0 is the identity. */
  readonly reluInBranch?: true
  /** Divides each kernel by the measured standard deviation of its output. */
  readonly measured?: true
}

const SCALARS_STAND_IN = 'its scalars replace norms, which would undo its effect on the scale'
const ZERO_MULTIPLIER = { norm: 'none', multiplier: 'zeros' } as const

export const residualSchemes: Readonly<Record<Exclude<SchemeName, 'none'>, ResidualScheme>> = {
  zero_gamma: {
    paper: 'Goyal et al. 2017, arXiv:1706.02677',
    norm: 'batch',
    because: "it sets the gamma of each branch's last norm to zero",
    postActivation:
      'a branch of v2 ends in a convolution, and a gamma of 0 before its ReLU would keep every gradient of the branch at 0 for ever; the equivalent for v2 is an override with zeros for the last convolution of each branch',
    effect:
      "The gamma of each branch's last norm is 0, so that a block starts as its shortcut. The paper also draws the dense kernel from N(0, 0.01), which dense_kernel can specify.",
    statistic: 'The variance of every branch is 0, and so is the gradient of its kernels at the first step.',
    zeros: 'gamma',
  },
  fixup: {
    paper: 'Zhang et al. 2019, arXiv:1901.09321',
    norm: 'none',
    because: SCALARS_STAND_IN,
    postActivation: 'the paper defines it for blocks that end in a ReLU',
    effect:
      'The kernels of each branch are multiplied by L^(-1/(2m-2)) (L blocks, m convolutions per branch); the last kernel of each branch and the dense kernel are 0. A scalar summand (0) precedes each convolution, activation and dense layer, and a scalar multiplier (1) ends each branch. The default kernel initializer is He normal by fan_out.',
    statistic: 'The variance of every branch is 0, and the logits are 0.',
    initializers: {
      kernel: {
        class_name: 'VarianceScaling',
        config: { scale: 2, mode: 'fan_out', distribution: 'untruncated_normal' },
      },
      dense_kernel: 'zeros',
    },
    zeros: 'kernel',
    shrinks: true,
    multiplier: 'ones',
    shifts: true,
  },
  skipinit: {
    ...ZERO_MULTIPLIER,
    paper: 'De and Smith 2020, arXiv:2002.10444',
    because: SCALARS_STAND_IN,
    effect: 'Each branch ends in a scalar multiplier of 0: relu(x + alpha f(x)), in v2 x + alpha f(x).',
    statistic: 'The variance of every branch is 0.',
  },
  rezero: {
    ...ZERO_MULTIPLIER,
    paper: 'Bachlechner et al. 2020, arXiv:2003.04887',
    because: SCALARS_STAND_IN,
    effect:
      'Each branch ends in a ReLU and a scalar multiplier of 0, and no ReLU follows the sum: x + alpha relu(f(x)), so that a block starts as its shortcut. A block of v2 has no ReLU after its sum, so rezero equals skipinit there.',
    statistic: 'The singular values of the Jacobian of every block without a projection are 1.',
    reluInBranch: true,
  },
  lsuv: {
    paper: 'Mishkin and Matas 2015, arXiv:1511.06422',
    norm: 'none',
    because: 'a norm removes the scale of the kernel before it',
    effect:
      "The default kernel initializer is orthogonal. Each kernel is then divided, layer by layer, by the standard deviation of its output over Gaussian images, or over images in the request. An output is linear in its kernel, so one division replaces the paper's iteration; biases are added afterwards.",
    statistic: 'The variance of the output of every kernel is 1, and about 1 on other images.',
    initializers: { kernel: 'orthogonal' },
    measured: true,
  },
}

/** Returns a scheme by its name; `none` has no rules. */
export function schemeNamed(name: SchemeName): Partial<ResidualScheme> {
  return name === 'none' ? {} : residualSchemes[name]
}

/** True if the scheme needs measured factors before the weights are defined. */
export function isMeasured({ residual_scheme }: { readonly residual_scheme: SchemeName }): boolean {
  return schemeNamed(residual_scheme).measured === true
}

/** Returns why a scheme and an architecture are incompatible, with the cure; undefined if they are compatible. */
export function schemeProblem(
  name: SchemeName,
  { norm, version }: { readonly norm: { readonly type: 'batch' | 'none' }; readonly version: string },
): string | undefined {
  if (name === 'none') return undefined
  const { norm: demanded, because, postActivation, paper } = residualSchemes[name]
  const cited = `${name} (${paper})`
  if (norm.type !== demanded)
    return `${cited} needs "norm": "${demanded}" in the architecture, because ${because}`
  if (version === 'v2' && postActivation !== undefined)
    return `${cited} needs "version": "v1" or "v1.5", because ${postActivation}`
  return undefined
}

/** Matches a convolution or norm of a branch, with its number. */
const BRANCH_LAYER = /^stage\d+\/block\d+\/(?:conv|norm)(\d)\/(?:kernel|gamma)$/

/** The parts of an architecture that the rules read. */
interface Structure {
  readonly block: 'basic' | 'bottleneck'
  readonly stages: readonly { readonly blocks: number }[]
}

/** The number of convolutions in a branch. */
export function branchLength({ block }: Pick<Structure, 'block'>): number {
  return block === 'bottleneck' ? 3 : 2
}

/** The position of a kernel or gamma in its branch, counted from 1; undefined outside of branches. */
export function branchPosition(parameter: string): number | undefined {
  const digits = BRANCH_LAYER.exec(parameter)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The scheme's rule for one parameter: an initializer that replaces the general one, or a factor on its law. */
export function schemeRule(
  scheme: SchemeName,
  structure: Structure,
  { name, role }: { readonly name: string; readonly role: string },
): { readonly initializer?: string; readonly factor?: number } {
  const { zeros, shrinks, multiplier } = schemeNamed(scheme)
  if (role === 'multiplier') return { initializer: multiplier ?? 'ones' }
  if (role === 'offset') return { initializer: 'zeros' }
  const position = branchPosition(name)
  if (position === undefined) return {}
  const length = branchLength(structure)
  if (position === length && role === zeros) return { initializer: 'zeros' }
  if (shrinks !== true || role !== 'kernel') return {}
  const blocks = structure.stages.reduce((sum, stage) => sum + stage.blocks, 0)
  return { factor: blocks ** (-1 / (2 * length - 2)) }
}
