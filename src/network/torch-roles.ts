import type { Role } from './ops.ts'

/** The words for roles in a torch state_dict. */
export const TORCH_ROLES: Readonly<Partial<Record<Role, string>>> = {
  kernel: 'weight',
  bias: 'bias',
  gamma: 'weight',
  beta: 'bias',
  moving_mean: 'running_mean',
  moving_variance: 'running_var',
}

/** The role of a state_dict's word in a norm or in another layer. */
export function readTorchRole(word: string, isNorm: boolean): Role | undefined {
  const roles: readonly Role[] = isNorm
    ? ['gamma', 'beta', 'moving_mean', 'moving_variance']
    : ['kernel', 'bias']
  return roles.find((role) => TORCH_ROLES[role] === word)
}

/** Axes of OIHW from HWIO, and of [out, in] from [in, out]. */
export function torchAxes({ length }: readonly number[]): number[] {
  if (length === 4) return [3, 2, 0, 1]
  return length === 2 ? [1, 0] : [0]
}
