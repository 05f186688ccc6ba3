/** Platforms with equal bits: this machine, and the same without wide vectors and fused multiply-add. */
export const platforms: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['this machine', {}],
  ['without AVX2, FMA and AVX-512', { GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F' }],
]
