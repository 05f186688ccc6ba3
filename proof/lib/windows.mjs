/** @typedef {import('./client.mjs').Answer} Answer */

/** Side of images that the model `own` accepts without resizing. */
export const SIDE = 32

/** A network whose `features` are its input pixels. @param {readonly number[]} shape */
export function windowOf(shape) {
  const [, , filters = 3] = shape
  return {
    architecture: {
      ...{ version: 'v1', block: 'basic', kernel_size: 1, norm: 'none', use_bias: false, input_shape: shape },
      stem: { kernel_size: 1, filters, strides: 1, pool: null },
      stages: [{ blocks: 1, filters, strides: 1 }],
      head: { pool: { type: 'average', size: 1, strides: 1, padding: 'valid' }, units: 2 },
    },
    ...{ classes: 2, preprocessing: 'none' },
    initializers: { kernel: 'zeros', stem_kernel: 'dirac', dense_kernel: 'zeros' },
  }
}

/** Input shapes of the models of these cases, by name. */
export const WINDOWS = { own: [SIDE, SIDE, 3], other: [16, 24, 3], grey: [8, 8, 1] }

/** @param {Answer} answer @returns {readonly number[] | undefined} */
export function featuresOf({ status, bytes }) {
  if (status !== 200) return undefined
  /** @type {{ predictions: { features: number[] }[] }} */
  const { predictions } = JSON.parse(bytes.toString())
  return predictions[0]?.features
}
