/** A network that is built within milliseconds: 8x8 images, 5 classes. */
export const tiny = {
  architecture: {
    stem: { kernel_size: 3, filters: 4, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 4 }],
    input_shape: [8, 8, 3],
  },
  classes: 5,
  preprocessing: 'unit',
}

/** A network that computes for some milliseconds, so that concurrent calls overlap. */
export const slow = {
  architecture: {
    stem: { kernel_size: 7, filters: 32, strides: 1, pool: null },
    stages: [{ blocks: 1, filters: 32 }],
    input_shape: [64, 64, 3],
  },
  classes: 5,
}

/** The network with a scheme's scalars, each at a value that changes the results. */
export function withScalars<N extends { architecture: object }>(network: N) {
  const constant = (value: number) => ({ class_name: 'Constant', config: { value } })
  return {
    ...network,
    architecture: { ...network.architecture, norm: 'none' },
    residual_scheme: 'fixup',
    initializers: {
      overrides: [
        { match: '**/kernel', initializer: 'he_normal' },
        { match: '**/offset', initializer: constant(0.1) },
        { match: '**/multiplier', initializer: constant(0.7) },
      ],
    },
  }
}

/**
 * A network whose `features` are its input pixels, [height, width, channels]; its logits depend on all of
 * them.
 */
export function windowOf(height: number, width: number, channels = 3) {
  return {
    architecture: {
      ...{ version: 'v1', block: 'basic', kernel_size: 1, norm: 'none', use_bias: false },
      stem: { kernel_size: 1, filters: channels, strides: 1, pool: null },
      stages: [{ blocks: 1, filters: channels, strides: 1 }],
      head: { pool: { type: 'average', size: 1, strides: 1, padding: 'valid' } },
      input_shape: [height, width, channels],
    },
    classes: 3,
    preprocessing: 'none',
    initializers: { kernel: 'zeros', stem_kernel: 'dirac', dense_kernel: 'glorot_uniform' },
  }
}
