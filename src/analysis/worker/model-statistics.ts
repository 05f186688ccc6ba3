import { fieldError } from '../../common/errors.ts'
import { nameMatcher } from '../../network/globs.ts'
import { VARIABLE_SCOPE } from '../../network/parameters.ts'
import { findDuplicates } from '../../statistics/duplicates.ts'
import type { RecordOptions } from '../../statistics/record.ts'
import { RelativeSums } from '../../statistics/relative.ts'
import { holm, pValues } from '../../statistics/tests.ts'
import type { ModelStatistics, ParameterStatistics } from '../contract.ts'
import type { StatisticsThread } from './statistics-thread-client.ts'
import { assertAffordable, computeRecord } from './parameter-record.ts'
import type { Spectra } from './spectra.ts'
import type { WeightTensor } from '../../tensorflow/weight-sources.ts'

/** A parameter with a corrected p below this is flagged, which happens to one freshly drawn model in a thousand. */
const FLAG_BELOW = 0.001

/** Tensors of the same network with other weights, for comparison. */
type Reference = readonly Pick<WeightTensor, 'name' | 'shape' | 'trainable' | 'read'>[]

/** Records of the matching trainable tensors, and their totals. */
export async function measureWeights(
  tensors: readonly WeightTensor[],
  { match, ...options }: RecordOptions & { readonly match?: string },
  {
    statisticsThread: statisticsThread,
    spectra,
  }: { readonly statisticsThread: StatisticsThread; readonly spectra: Spectra },
  reference?: Reference,
): Promise<ModelStatistics> {
  const matches = match === undefined ? () => true : nameMatcher(match)
  const wanted = (tensor: { name: string; trainable: boolean }) => tensor.trainable && matches(tensor.name)
  const measured = tensors.filter(wanted)
  const others = reference && counterparts(measured, reference.filter(wanted))
  assertAffordable(measured, options)
  const measuring = statisticsThread.begin({ digest: true })
  const allRelative = new RelativeSums()
  const pending: (() => Promise<ParameterStatistics>)[] = []
  for (const [index, tensor] of measured.entries()) {
    const relative = new RelativeSums()
    const other = others?.[index]
    const { record } = await computeRecord(
      tensor,
      options,
      { measuring, spectra },
      async (values, offset) => {
        if (other) relative.add(values, await other.read(offset, values.length))
      },
    )
    allRelative.join(relative)
    pending.push(async () => ({
      name: tensor.name,
      tensor_name: `${VARIABLE_SCOPE}/${tensor.name}:0`,
      initializer: tensor.initializer,
      ...(tensor.factor === undefined ? {} : { factor: tensor.factor }),
      ...(await record),
      ...(other ? { relative: relative.result() } : {}),
    }))
  }
  const sha256 = await measuring.digest()
  const parameters = await Promise.all(pending.map((complete) => complete()))
  const totals = { ...computeTotals(parameters), sha256 }
  return { parameters, totals: { ...totals, ...(others ? { relative: allRelative.result() } : {}) } }
}

/** The reference's tensors in the order of the model's. Throws INVALID_REQUEST for the first difference. */
function counterparts(tensors: Reference, reference: Reference): Reference {
  const names = new Set(tensors.map(({ name }) => name))
  const extra = reference.find(({ name }) => !names.has(name))
  const others = tensors.map(({ name, shape }) => {
    const other = reference.find((candidate) => candidate.name === name)
    const here = `${name} is [${shape.join(', ')}] here`
    if (other === undefined)
      throw fieldError('#/relative_to', `has other parameters: ${here} and missing there`)
    if (other.shape.join() === shape.join()) return other
    throw fieldError('#/relative_to', `has other parameters: ${here}, [${other.shape.join(', ')}] there`)
  })
  if (extra === undefined) return others
  const there = `${extra.name} is [${extra.shape.join(', ')}] there and missing here`
  throw fieldError('#/relative_to', `has other parameters: ${there}`)
}

function computeTotals(
  parameters: readonly ParameterStatistics[],
): Omit<ModelStatistics['totals'], 'sha256' | 'relative'> {
  const tested = parameters.flatMap(({ name, tests }) =>
    tests ? pValues(tests).map((p) => ({ name, p })) : [],
  )
  const adjusted = holm(tested.map(({ p }) => p))
  const flagged = tested.filter((_, index) => (adjusted[index] ?? 1) < FLAG_BELOW).map(({ name }) => name)
  const duplicates = findDuplicates(parameters)
  const sum = (of: (record: ParameterStatistics) => number): number =>
    parameters.reduce((total, record) => total + of(record), 0)
  return {
    count: parameters.length,
    size: sum(({ size }) => size),
    l2_norm: Math.sqrt(sum(({ sample }) => sample.l2_norm ** 2)),
    zeros: sum(({ sample }) => sample.zeros),
    smallest_p_holm: adjusted.length > 0 ? Math.min(...adjusted) : null,
    duplicates,
    flagged: [...new Set([...flagged, ...duplicates.flat()])],
  }
}
