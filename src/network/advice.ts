import { sizeOf } from '../initializers/fans.ts'
import { isFixed } from '../initializers/law.ts'
import { blockMeanSquares, computeGain } from './mean-field.ts'
import type { InitializedParameter } from './parameters.ts'
import { branchLength, branchPosition, schemeNamed } from './schemes.ts'
import type { Specification } from './specification.ts'

type Parameters = readonly InitializedParameter[]

/** Advice about a network before it is built: one or two sentences each, with the plan's numbers. */
export function adviceOn(specification: Specification, parameters: Parameters): string[] {
  return [
    denseShare(parameters),
    signal(specification, parameters),
    largeGains(specification, parameters),
    equalFilters(specification, parameters),
    deadEnd(specification, parameters) ?? zeroGradients(specification, parameters),
    ...sharedSeeds(parameters),
  ].filter((item) => item !== undefined)
}

/** Reports a dense layer that holds half of all parameters; a global pool would avoid them. */
function denseShare(parameters: Parameters): string | undefined {
  const dense = parameters.find(({ name }) => name === DENSE)
  const size = sizeOf(dense?.shape ?? [0])
  const count = totalSize(parameters)
  if (dense === undefined || size < count / 2 || size < 10_000_000) return undefined
  const [features = 0, units = 0] = dense.shape
  return `The dense layer holds ${millions(size)} of the ${millions(count)} million parameters, because ${features.toLocaleString('en')} features reach it; "head": {"pool": "global_average"} would leave ${String(units)} weights per channel.`
}

/**
 * A signal above this counts as exploded, and below its inverse as vanished; the signals' verdicts use the same
 * limit.
 */
const LIMIT = 30

/** Reports exploding and vanishing signals of networks without norms, in which the kernels set the scale. */
function signal(specification: Specification, parameters: Parameters): string | undefined {
  const { architecture, residual_scheme } = specification
  // Residual schemes keep the signal by other means.
  if (architecture.norm.type !== 'none' || residual_scheme !== 'none') return undefined
  const sums = blockMeanSquares(specification, parameters)
  const last = sums?.at(-1)
  const [first] = sums ?? []
  if (sums === undefined || last === undefined || first === undefined) return undefined
  if (last <= LIMIT && last >= 1 / LIMIT) return undefined
  const blocks = count(sums.length, 'block')
  const rate = (last / first) ** (1 / Math.max(1, sums.length - 1))
  const each = sums.length > 1 ? `, ${brief(rate)}-fold a block` : ''
  if (last > LIMIT) {
    return `Without norms the signal explodes: mean-field theory gives ${brief(last)} times the input's mean square after ${blocks}${each}. Use norms, or "residual_scheme": "fixup", "skipinit" or "lsuv".`
  }
  const smallest = listKernels(parameters)
    .filter((parameter) => parameter.name !== DENSE && computeGain(parameter) > 0)
    .sort((a, b) => computeGain(a) - computeGain(b))[0]
  const why = smallest
    ? ` ${smallest.name} (${smallest.initializer.class_name}) followed by a ReLU multiplies the mean square by ${brief(computeGain(smallest) / 2)}; he_normal by 1.`
    : ''
  return `Without norms the signal vanishes: mean-field theory leaves ${brief(last)} of the input's mean square after ${blocks}${each}.${why}`
}

/** A kernel above this gain has no variance scaling at all. */
const LARGE_GAIN = 100

function largeGains(
  { architecture, residual_scheme }: Specification,
  parameters: Parameters,
): string | undefined {
  if (schemeNamed(residual_scheme).measured) return undefined
  const large = listKernels(parameters).filter((parameter) => computeGain(parameter) > LARGE_GAIN)
  const largest = large.sort((a, b) => computeGain(b) - computeGain(a))[0]
  if (largest === undefined) return undefined
  const gain = computeGain(largest)
  const hidden =
    architecture.norm.type === 'batch' && largest.name !== DENSE
      ? ` Its norm compensates for that, but its gradient is ${brief(Math.sqrt(gain / 2))} times smaller than with he_normal.`
      : ''
  return `${largest.name} (${largest.initializer.class_name}) multiplies the mean square by ${brief(gain)}, he_normal by 2${others(large.length - 1, `above ${String(LARGE_GAIN)} times`)}.${hidden}`
}

/**
 * Reports filters with equal initial values. They stay equal unless the next layer separates them, which a ReLU of
 * zeros does not.
 */
function equalFilters({ architecture }: Specification, parameters: Parameters): string | undefined {
  const length = branchLength(architecture)
  const equal = listKernels(parameters).filter(
    ({ name, law, shape }) =>
      law.kind === 'constant' && shape.at(-1) !== 1 && name !== DENSE && branchPosition(name) !== length,
  )
  const [first] = equal
  if (first?.law.kind !== 'constant') return undefined
  const dead =
    first.law.value === 0 && !first.name.includes('/shortcut/')
      ? ' Zeros before a ReLU get no gradient, so they stay zero.'
      : ''
  return `All filters of ${first.name} start equal (${first.initializer.class_name})${others(equal.length - 1, 'likewise')}; a random initializer lets them differ.${dead}`
}

/** Reports a layer whose output is always zero: the layers before and after it get no gradient. */
function deadEnd({ architecture }: Specification, parameters: Parameters): string | undefined {
  const zeros = findZeros(parameters)
  const names = new Set(parameters.map(({ name }) => name))
  const absentOrZero = (name: string): boolean => !names.has(name) || zeros.has(name)
  const silent = (scope: string): boolean =>
    absentOrZero(`${scope}/norm/beta`) &&
    (zeros.has(`${scope}/norm/gamma`) ||
      (zeros.has(`${scope}/conv/kernel`) && absentOrZero(`${scope}/conv/bias`)))
  const blocks = architecture.stages.flatMap((stage, index) =>
    Array.from({ length: stage.blocks }, (_, block) => `stage${String(index + 1)}/block${String(block + 1)}`),
  )
  const dead = silent('stem')
    ? 'the stem'
    : blocks.find((block) => silent(`${block}/shortcut`) && endsInZeros(architecture, zeros, block))
  if (dead === undefined) return undefined
  return `The output of ${dead} is always zero, so no kernel has a gradient at the first step and the logits do not depend on the image; give it a nonzero kernel and gamma.`
}

function findZeros(parameters: Parameters): ReadonlySet<string> {
  return new Set(
    parameters.filter(({ law }) => law.kind === 'constant' && law.value === 0).map(({ name }) => name),
  )
}

/**
 * True if a multiplier, norm or convolution of zeros ends a block's branch. In v2 a norm does not end the branch.
 */
function endsInZeros(
  architecture: Specification['architecture'],
  zeros: ReadonlySet<string>,
  block: string,
): boolean {
  const last = String(branchLength(architecture))
  const normed = architecture.version !== 'v2' && zeros.has(`${block}/norm${last}/gamma`)
  return zeros.has(`${block}/scale/multiplier`) || normed || zeros.has(`${block}/conv${last}/kernel`)
}

/**
 * Reports kernels with zero gradients at the first step, because their branch ends in zeros. Most schemes intend
 * that.
 */
function zeroGradients({ architecture }: Specification, parameters: Parameters): string | undefined {
  const kernels = listKernels(parameters)
  const zeros = findZeros(parameters)
  const last = branchLength(architecture)
  const silent = kernels.filter(({ name }) => {
    if (name === DENSE) return false
    if (zeros.has(DENSE)) return true
    const position = branchPosition(name)
    const block = name.split('/').slice(0, 2).join('/')
    if (position === undefined || !endsInZeros(architecture, zeros, block)) return false
    // A convolution of zeros at the end of its branch has a gradient itself.
    return position < last || !zeros.has(name)
  })
  if (silent.length === 0) return undefined
  const share = (100 * totalSize(silent)) / totalSize(kernels)
  const why = zeros.has(DENSE) ? 'the dense kernel is 0' : 'their branches end in zeros'
  return `At the first step ${share.toFixed(1)} % of the kernels' weights have a gradient of exactly 0, because ${why}; the zero parameters are updated first.`
}

/** Reports equal seed vectors with the same raw distribution: they give equal numbers, up to scale. */
function sharedSeeds(parameters: Parameters): string[] {
  const groups = new Map<string, InitializedParameter[]>()
  for (const parameter of parameters) {
    const { law, seed } = parameter
    if (isFixed(law)) continue
    const key = `${law.kind}:${seed.join()}`
    groups.set(key, [...(groups.get(key) ?? []), parameter])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined || group.length < 2) return []
    const names = group.slice(0, MOST_NAMES).map(({ name }) => name)
    const rest = group.length > MOST_NAMES ? ` and ${String(group.length - MOST_NAMES)} more` : ''
    const same = new Set(group.map(({ shape }) => shape.join())).size === 1
    const effect = same
      ? 'the same numbers'
      : 'the same numbers where shapes agree, correlated ones elsewhere'
    return `${names.join(', ')}${rest} draw from one seed, [${first.seed.join(', ')}], and so get ${effect}, up to scale; without "seed" each has its own.`
  })
}

const DENSE = 'head/dense/kernel'
const MOST_NAMES = 4

function listKernels(parameters: Parameters): InitializedParameter[] {
  return parameters.filter(({ role }) => role === 'kernel')
}

function totalSize(parameters: Parameters): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
}

function others(number: number, condition: string): string {
  return number > 0 ? ` (${count(number, 'other kernel')} ${condition})` : ''
}

function count(number: number, noun: string): string {
  return `${String(number)} ${noun}${number === 1 ? '' : 's'}`
}

function millions(value: number): string {
  return (value / 1e6).toFixed(1)
}

/** Formats with two digits. */
function brief(value: number): string {
  return value >= 1000 || value < 0.01 ? value.toExponential(1) : String(Number(value.toPrecision(2)))
}
