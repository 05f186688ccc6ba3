import type { ExperimentRequest } from './experiment.ts'

export interface ExperimentPreset {
  readonly summary: string
  readonly experiment: ExperimentRequest
}

/** Example experiments, as requests. */
export const experimentPresets: Readonly<Record<string, ExperimentPreset>> = {
  with_norms: {
    summary: 'ResNet-20 with batch norm: He against Glorot',
    experiment: { initializers: ['he_normal', 'glorot_uniform'] },
  },
  without_norms: {
    summary: 'The same network without norms, which depends on the initializer',
    experiment: {
      norm: 'none',
      initializers: ['he_normal', 'glorot_uniform'],
      learning_rates: [0.002, 0.03],
      steps: 110,
    },
  },
  zeros: {
    summary: 'All kernels zero: all gradients are zero, and nothing is learned',
    experiment: { initializers: ['zeros', 'he_normal'], learning_rates: [0.1] },
  },
}
