import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** CPU flags that distinguish processors of one model name, widest first. */
const VECTORS = ['amx_tile', 'avx512_bf16', 'avx512f', 'avx2']

/** The machine and date of a measurement. */
export function machine() {
  const [cpu] = cpus()
  const flags = /^flags\s*:(.*)$/m.exec(cpuinfo())?.[1]?.split(' ') ?? []
  const vectors = VECTORS.find((flag) => flags.includes(flag))
  const model = `${cpu?.model ?? 'unknown CPU'}${vectors === undefined ? '' : ` with ${vectors.toUpperCase()}`}`
  return `${model}, ${String(cpus().length)} cores, ${new Date().toISOString().slice(0, 10)}`
}

/** Empty on systems without /proc/cpuinfo. */
function cpuinfo() {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}
