import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** What tells processors of one name apart, the widest first. */
const VECTORS = ['amx_tile', 'avx512_bf16', 'avx512f', 'avx2']

/** What a number was measured on, and when. */
export function machine() {
  const [cpu] = cpus()
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo())?.[1]?.split(' ') ?? []
  const vectors = VECTORS.find((flag) => flags.includes(flag))
  const model = `${cpu?.model ?? 'unknown CPU'}${vectors === undefined ? '' : ` with ${vectors.toUpperCase()}`}`
  return `${model}, ${String(cpus().length)} cores, ${new Date().toISOString().slice(0, 10)}`
}

/** Where there is none, nothing is said of vectors. */
function cpuinfo() {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
