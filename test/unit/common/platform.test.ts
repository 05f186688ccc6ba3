import { describe, expect, it, test, vi } from 'vitest'
import {
  computingThreads,
  tensorflowEnvironment,
  gpus,
  multipliesBfloat16,
  processors,
  readQuota,
} from '../../../src/common/platform.ts'

const quota = (files: Readonly<Record<string, string>>) => readQuota((path) => files[path])

describe('the processors that a cgroup allows', () => {
  it.each<[string, Record<string, string>, number]>([
    ['none is read', {}, Infinity],
    [
      'version 2 sets none',
      { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': 'max 100000' },
      Infinity,
    ],
    ['version 2', { '/proc/self/cgroup': '0::/', '/sys/fs/cgroup/cpu.max': '150000 100000' }, 1.5],
    [
      'version 2, a parent with less',
      {
        '/proc/self/cgroup': '0::/kubepods/pod1',
        '/sys/fs/cgroup/kubepods/cpu.max': '200000 100000',
        '/sys/fs/cgroup/kubepods/pod1/cpu.max': '400000 100000',
      },
      2,
    ],
    [
      'version 1',
      {
        '/proc/self/cgroup': '3:cpuset:/a\n2:cpu,cpuacct:/docker/1\n0::/',
        '/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us': '50000',
        '/sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us': '100000',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000',
      },
      0.5,
    ],
    [
      'version 1, its own group as the root',
      {
        '/proc/self/cgroup': '1:cpu:/docker/1',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '300000',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000',
      },
      3,
    ],
  ])('%s', (_, files, expected) => {
    expect(quota(files)).toBe(expected)
  })

  test('are an integer from one to the number of processors', () => {
    expect(processors()).toBeGreaterThanOrEqual(1)
    expect(Number.isInteger(processors())).toBe(true)
  })
})

test.each([
  ['0,2', ['0', '2']],
  ['GPU-8f2b, 1', ['GPU-8f2b', '1']],
  ['0,-1,2', ['0']],
  ['', []],
  ['-1', []],
])('CUDA_VISIBLE_DEVICES=%s shows its GPUs', (visible, expected) => {
  expect(gpus(visible)).toEqual(expected)
})

test.each([
  ['flags\t\t: fpu avx512f avx512_bf16 sse2', true],
  ['flags\t\t: fpu amx_bf16', true],
  ['flags\t\t: fpu avx512f avx512_vnni', false],
  ['Features\t: fp asimd bf16 i8mm', true],
  ['', false],
])('%s: native bfloat16: %s', (cpuinfo, expected) => {
  expect(multipliesBfloat16(cpuinfo)).toBe(expected)
})

test('TensorFlow uses oneDNN and the given threads, unless the environment disables oneDNN', () => {
  expect(tensorflowEnvironment(3)).toMatchObject({ TF_NUM_INTRAOP_THREADS: '3', TF_ENABLE_ONEDNN_OPTS: '1' })
  vi.stubEnv('TF_ENABLE_ONEDNN_OPTS', '0')
  expect(tensorflowEnvironment(3)).toMatchObject({ TF_ENABLE_ONEDNN_OPTS: '0' })
  vi.unstubAllEnvs()
})

it('TensorFlow uses the configured threads, or one per processor', () => {
  expect(computingThreads(tensorflowEnvironment(3)['TF_NUM_INTRAOP_THREADS'])).toBe(3)
  vi.stubEnv('TF_NUM_INTRAOP_THREADS', undefined)
  expect(computingThreads()).toBe(processors())
  vi.unstubAllEnvs()
})
