import { fansOf } from '../initializers/fans.ts'
import { theoryOf } from '../initializers/law.ts'
import type { InitializedParameter } from './parameters.ts'
import { branchLength, schemeNamed } from './schemes.ts'
import type { Specification } from './specification.ts'

/**
 * The factor by which a kernel multiplies the mean square: fan_in E[w^2], exact in expectation over kernels with
 * independent entries of mean 0. A ReLU after it halves the mean square, so He (a gain of 2) keeps it: chi = gain /
 * 2 (Poole et al. 2016, arXiv:1606.05340; He et al. 2015, arXiv:1502.01852).
 */
export function computeGain({ law, shape }: InitializedParameter): number {
  const { mean, variance } = theoryOf(law, shape)
  return fansOf(shape).fanIn * (variance + mean ** 2)
}

/**
 * E[relu(relu(u) + b)^2] for independent normal u and b of mean 0. For u < 0 the sum is b; for u > 0 the sum is
 * positive in a sector of the plane, over which the integral is elementary (Cho and Saul 2009).
 */
export function reluOfSum(uSquare: number, bSquare: number): number {
  const from = -Math.atan2(Math.sqrt(uSquare), Math.sqrt(bSquare))
  const width = Math.PI / 2 - from
  const bend = -Math.sin(2 * from) / 4
  const u = uSquare * (width / 2 + bend)
  const b = bSquare * (width / 2 - bend)
  const both = Math.sqrt(uSquare * bSquare) * Math.cos(from) ** 2
  return (u + b + both) / Math.PI + bSquare / 4
}

/**
 * The expected mean square of each block's sum in a network without norms, for input of mean square 1. Ignores
 * pools and borders, and treats the input of every ReLU as normal. Undefined if a kernel's mean is not 0, because
 * the means of ReLU outputs then add up.
 */
export function blockMeanSquares(
  { architecture, residual_scheme }: Specification,
  initialized: readonly InitializedParameter[],
): number[] | undefined {
  const known = new Map(initialized.map((parameter) => [parameter.name, parameter]))
  const kernels = initialized.filter(({ role }) => role === 'kernel')
  if (kernels.some(({ law, shape }) => theoryOf(law, shape).mean !== 0)) return undefined
  const gain = (name: string): number | undefined => {
    const parameter = known.get(name)
    return parameter && computeGain(parameter)
  }
  const { reluInBranch } = schemeNamed(residual_scheme)
  const preActivation = architecture.version === 'v2'
  const length = branchLength(architecture)
  const sums: number[] = []
  let square = (gain('stem/conv/kernel') ?? 0) / (preActivation ? 1 : 2)
  architecture.stages.forEach(({ blocks }, stage) => {
    for (let block = 1; block <= blocks; block++) {
      const name = `stage${String(stage + 1)}/block${String(block)}`
      // Input of the branch and of a projection.
      const read = preActivation ? square / 2 : square
      const gains = Array.from({ length }, (_, index) => gain(`${name}/conv${String(index + 1)}/kernel`) ?? 0)
      const convolved = gains.reduce((product, factor) => (product * factor) / 2, 2 * read)
      const multiplier = known.get(`${name}/scale/multiplier`)
      const scale = multiplier ? computeGain(multiplier) : 1
      const branch = scale * (reluInBranch && !preActivation ? convolved / 2 : convolved)
      const projection = gain(`${name}/shortcut/conv/kernel`)
      const sum = branch + (projection === undefined ? square : projection * read)
      sums.push(sum)
      if (preActivation || reluInBranch) square = sum
      else square = projection === undefined ? reluOfSum(2 * square, branch) : sum / 2
    }
  })
  return sums
}
