import { createHash } from 'node:crypto'
import { nameMatcher } from '../network/globs.ts'
import { VARIABLE_SCOPE } from '../network/parameters.ts'
import { measure, type RecordOptions } from '../statistics/record.ts'
import { holm, pValues } from '../statistics/tests.ts'
import type { ModelStatistics, ParameterStatistics } from './analysis.ts'
import type { WeightTensor } from './weights.ts'

/** Below this corrected p a parameter is flagged; by chance one model in a thousand has such a one. */
const FLAG_BELOW = 0.001

/** Records of the trainable tensors that match, and their totals. */
export async function measureWeights(
  tensors: readonly WeightTensor[],
  { match, ...options }: RecordOptions & { readonly match?: string },
): Promise<ModelStatistics> {
  const matches = match === undefined ? () => true : nameMatcher(match)
  const all = createHash('sha256')
  const parameters: ParameterStatistics[] = []
  for (const tensor of tensors) {
    if (!tensor.trainable || !matches(tensor.name)) continue
    parameters.push({
      name: tensor.name,
      tensor_name: `${VARIABLE_SCOPE}/${tensor.name}:0`,
      initializer: tensor.initializer,
      ...(tensor.factor === undefined ? {} : { factor: tensor.factor }),
      ...(await measure(tensor, options, all)),
    })
  }
  return { parameters, totals: { ...totalsOf(parameters), sha256: all.digest('hex') } }
}

function totalsOf(parameters: readonly ParameterStatistics[]): Omit<ModelStatistics['totals'], 'sha256'> {
  const tested = parameters.flatMap(({ name, tests }) =>
    tests ? pValues(tests).map((p) => ({ name, p })) : [],
  )
  const adjusted = holm(tested.map(({ p }) => p))
  const flagged = tested.filter((_, index) => (adjusted[index] ?? 1) < FLAG_BELOW).map(({ name }) => name)
  const sum = (of: (record: ParameterStatistics) => number): number =>
    parameters.reduce((total, record) => total + of(record), 0)
  return {
    count: parameters.length,
    size: sum(({ size }) => size),
    l2_norm: Math.sqrt(sum(({ sample }) => sample.l2_norm ** 2)),
    zeros: sum(({ sample }) => sample.zeros),
    smallest_p_holm: adjusted.length > 0 ? Math.min(...adjusted) : null,
    flagged: [...new Set(flagged)],
  }
}
