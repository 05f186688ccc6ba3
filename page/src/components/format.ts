/** Formats numbers for display. */
const DIGITS = new Intl.NumberFormat('en')
const SHORT = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 })

export const count = (value: number): string => DIGITS.format(value)

/** 125M, 25.6M, 4.1G. */
export const short = (value: number): string => SHORT.format(value).replace('B', 'G').toLocaleUpperCase('en')

/** Four significant digits, with an exponent instead of many zeros. Non-finite numbers arrive as strings. */
export function number(value: number | string | null): string {
  if (typeof value !== 'number') return value ?? '-'
  if (value === 0) return '0'
  const size = Math.abs(value)
  return size < 1e-3 || size >= 1e6 ? value.toExponential(2) : String(Number(value.toPrecision(4)))
}

export function bytes(value: number): string {
  const unit = value >= 1e9 ? 'GB' : value >= 1e6 ? 'MB' : value >= 1e3 ? 'kB' : 'B'
  const divisor = { GB: 1e9, MB: 1e6, kB: 1e3, B: 1 }[unit]
  return `${String(Number((value / divisor).toPrecision(3)))} ${unit}`
}

export const milliseconds = (value: number): string =>
  value < 1000 ? `${String(Number(value.toPrecision(3)))} ms` : `${(value / 1000).toFixed(1)} s`

export const shape = (sizes: readonly number[]): string => (sizes.length === 0 ? 'scalar' : sizes.join('×'))

/** The number of a response; undefined for non-finite ones, which arrive as strings and fit no chart. */
export const finite = (value: number | string | null | undefined): number | undefined =>
  typeof value === 'number' ? value : undefined
