import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * The environment with which TensorFlow computes on this number of threads. By default it uses one per host
 * processor, regardless of the container's quota, and enables oneDNN only on processors with AVX512_VNNI,
 * although with AVX2 ResNet-50 is half as fast without it.
 */
export function tensorflowEnvironment(threads: number): Readonly<Record<string, string>> {
  const { TF_ENABLE_ONEDNN_OPTS = '1' } = process.env
  return {
    TF_NUM_INTRAOP_THREADS: String(threads),
    OMP_NUM_THREADS: String(threads),
    TF_ENABLE_ONEDNN_OPTS,
    TF_CPP_MIN_LOG_LEVEL: '2',
  }
}

/** The number of threads that TensorFlow uses in this process: as configured, or one per processor. */
export function computingThreads(configured = process.env['TF_NUM_INTRAOP_THREADS']): number {
  return configured === undefined ? processors() : Number(configured)
}

type Read = (path: string) => string | undefined

const CGROUPS = '/sys/fs/cgroup'

/**
 * The number of processors for this process: the container's quota rounded up, at most those it may run on.
 */
export function processors(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(readQuota(readText))))
}

/**
 * The processors that a cgroup allows, Infinity without a limit: the minimum over the group and its parents
 * (version 2: `cpu.max`; version 1: `cpu.cfs_quota_us` over `cpu.cfs_period_us`). Inside a container its own
 * group is the root.
 */
export function readQuota(read: Read): number {
  const quotas = (read('/proc/self/cgroup') ?? '').split('\n').flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === '') {
      const roots = [CGROUPS, `${CGROUPS}/unified`]
      return listParents(path, roots).map((group) => ratio(...(read(`${group}/cpu.max`) ?? '').split(' ')))
    }
    if (!controllers.split(',').includes('cpu')) return []
    return listParents(path, [`${CGROUPS}/${controllers}`, `${CGROUPS}/cpu`]).map((group) =>
      ratio(read(`${group}/cpu.cfs_quota_us`), read(`${group}/cpu.cfs_period_us`)),
    )
  })
  return Math.min(Infinity, ...quotas)
}

/** The directories of a group and its parents, below each root. */
function listParents(path: string, roots: readonly string[]): string[] {
  const names = path.split('/').filter((name) => name !== '')
  const paths = Array.from({ length: names.length + 1 }, (_, count) => names.slice(0, count))
  return roots.flatMap((root) => paths.map((some) => [root, ...some].join('/')))
}

/** "max", -1 and a missing file mean no limit. */
function ratio(quota = '', period = ''): number {
  const processorsAllowed = Number(quota) / Number(period)
  return processorsAllowed > 0 ? processorsAllowed : Infinity
}

/**
 * The GPUs that CUDA shows this process, named as in CUDA_VISIBLE_DEVICES; found without loading a library.
 */
export function gpus(visible = process.env['CUDA_VISIBLE_DEVICES']): string[] {
  if (visible === undefined) return installedGpus().map((_, index) => String(index))
  const names = visible.split(',').map((name) => name.trim())
  // CUDA shows the devices before the first one that does not exist.
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

/** True if the processor multiplies bfloat16 natively, from `/proc/cpuinfo`; others use float32. */
export function multipliesBfloat16(cpuinfo = readText('/proc/cpuinfo') ?? ''): boolean {
  return /^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b/m.test(cpuinfo)
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
