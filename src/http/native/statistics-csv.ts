import type { Static } from 'typebox'
import type { ModelStatistics } from '../shared/model-schemas.ts'

type Answer = Static<typeof ModelStatistics>
type Cell = string | number | boolean | null | undefined

/** The columns, in order. Absent and null values are empty cells. */
const COLUMNS: Readonly<Record<string, (parameter: Answer['parameters'][number], answer: Answer) => Cell>> = {
  name: ({ name }) => name,
  shape: ({ shape }) => shape.join('x'),
  size: ({ size }) => size,
  fan_in: ({ fan_in }) => fan_in,
  fan_out: ({ fan_out }) => fan_out,
  initializer: ({ initializer }) => initializer?.class_name,
  mean: ({ sample }) => sample.mean,
  std: ({ sample }) => sample.std,
  variance: ({ sample }) => sample.variance,
  skewness: ({ sample }) => sample.skewness,
  kurtosis: ({ sample }) => sample.kurtosis,
  min: ({ sample }) => sample.min,
  max: ({ sample }) => sample.max,
  zeros: ({ sample }) => sample.zeros,
  l2_norm: ({ sample }) => sample.l2_norm,
  non_finite: ({ sample }) => sample.non_finite,
  sha256: ({ sample }) => sample.sha256,
  theory_mean: ({ theory }) => theory?.mean,
  theory_std: ({ theory }) => theory?.std,
  mean_z: ({ tests }) => tests?.mean_z,
  variance_z: ({ tests }) => tests?.variance_z,
  ks_p_value: ({ tests }) => tests?.ks.p_value,
  flagged: ({ name }, { totals }) => totals.flagged.includes(name),
}

/** Writes statistics as CSV (RFC 4180): a header line, then one line for each parameter. */
export function formatStatisticsCsv(answer: Answer): string {
  const lines = answer.parameters.map((parameter) =>
    Object.values(COLUMNS).map((read) => formatCell(read(parameter, answer))),
  )
  return [Object.keys(COLUMNS), ...lines].map((cells) => `${cells.join(',')}\r\n`).join('')
}

function formatCell(cell: Cell): string {
  const text = cell === null || cell === undefined ? '' : String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
