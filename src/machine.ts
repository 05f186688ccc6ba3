import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * How TensorFlow computes with so many threads: left alone it takes one for each of the host's processors, whatever the
 * container may use, and leaves oneDNN to processors with AVX512_VNNI, though with AVX2 ResNet-50 is half as fast
 * without.
 */
export function computingWith(threads: number): Readonly<Record<string, string>> {
  const { TF_ENABLE_ONEDNN_OPTS = '1' } = process.env
  return {
    TF_NUM_INTRAOP_THREADS: String(threads),
    OMP_NUM_THREADS: String(threads),
    TF_ENABLE_ONEDNN_OPTS,
    TF_CPP_MIN_LOG_LEVEL: '2',
  }
}

/** Threads that TensorFlow computes with in this process: as it was told, or one for each processor. */
export function computingThreads(told = process.env['TF_NUM_INTRAOP_THREADS']): number {
  return told === undefined ? processors() : Number(told)
}

type Read = (path: string) => string | undefined

const CGROUPS = '/sys/fs/cgroup'

/** Processors this process may keep busy: a container's quota rounded up, at most those it may run on. */
export function processors(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(quotaOf(textOf))))
}

/**
 * The processors a cgroup allows, Infinity where it sets no limit: the least of the group's and its parents' (version 2:
 * `cpu.max`; version 1: `cpu.cfs_quota_us` over `cpu.cfs_period_us`). Inside a container its own group is the root.
 */
export function quotaOf(read: Read): number {
  const quotas = (read('/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === '') {
      const roots = [CGROUPS, `${CGROUPS}/unified`]
      return upwards(path, roots).map((group) => ratio(...(read(`${group}/cpu.max`) ?? '').split(' ')))
    }
    if (!controllers.split(',').includes('cpu')) return []
    return upwards(path, [`${CGROUPS}/${controllers}`, `${CGROUPS}/cpu`]).map((group) =>
      ratio(read(`${group}/cpu.cfs_quota_us`), read(`${group}/cpu.cfs_period_us`)),
    )
  })
  return Math.min(Infinity, ...quotas)
}

/** A group's folder and those above it, below each root. */
function upwards(path: string, roots: readonly string[]): string[] {
  const names = path.split('/').filter((name) => name !== '')
  const paths = Array.from({ length: names.length + 1 }, (_, count) => names.slice(0, count))
  return roots.flatMap((root) => paths.map((some) => [root, ...some].join('/')))
}

/** "max", -1 and a file that is not there set no limit. */
function ratio(quota = '', period = ''): number {
  const processorsAllowed = Number(quota) / Number(period)
  return processorsAllowed > 0 ? processorsAllowed : Infinity
}

/** The GPUs CUDA would show this process, as CUDA_VISIBLE_DEVICES names them; found without loading any library. */
export function gpus(visible = process.env['CUDA_VISIBLE_DEVICES']): string[] {
  if (visible === undefined) return installedGpus().map((_, index) => String(index))
  const names = visible.split(',').map((name) => name.trim())
  // CUDA shows those before the first that there is not.
  const end = names.findIndex((name) => name === '' || name.startsWith('-'))
  return end < 0 ? names : names.slice(0, end)
}

function installedGpus(): string[] {
  try {
    return readdirSync('/proc/driver/nvidia/gpus')
  } catch {
    return []
  }
}

/** Whether the processor multiplies bfloat16 itself, from `/proc/cpuinfo`; others go through float32. */
export function multipliesBfloat16(cpuinfo = textOf('/proc/cpuinfo') ?? ''): boolean {
  return /^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b/m.test(cpuinfo)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
