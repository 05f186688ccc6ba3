import { cpus } from 'node:os'

/** What a number was measured on, and when. */
export function machine() {
  const [cpu] = cpus()
  return `${cpu?.model ?? 'unknown CPU'}, ${String(cpus().length)} cores, ${new Date().toISOString().slice(0, 10)}`
}
