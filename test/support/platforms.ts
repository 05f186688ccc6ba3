/** Where bits must not differ: as the machine is, and as one without wide vectors and fused multiply-add. */
export const platforms: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['as the machine is', {}],
  ['without AVX2, FMA and AVX-512', { GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F' }],
]
