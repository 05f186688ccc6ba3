/** A number of requests per time window. */
export interface Rate {
  readonly max: number
  readonly windowMs: number
}

const UNITS: Readonly<Record<string, number>> = { second: 1000, minute: 60_000, hour: 3_600_000 }

/** Parses a validated rate of settings and keys, such as 600/minute; undefined for `off`. */
export function parseRate(text: string): Rate | undefined {
  const [count = '', unit = ''] = text.split('/')
  const windowMs = UNITS[unit]
  return windowMs === undefined ? undefined : { max: Number(count), windowMs }
}
