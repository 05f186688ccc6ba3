import { form, json } from './requests.mjs'

/** @typedef {import('./choices.mjs').Choices} Choices */
/** @typedef {import('./client.mjs').Request} Request */

/** Input shapes of the models, by name. */
export const MODELS = { own: [224, 224, 3], other: [64, 64, 3], grey: [32, 32, 1] }

/**
 * A way to send an image. `pointer` is the location that an error must name; only problem details have one.
 * @typedef {{ name: string, refusals: readonly number[], pointer?: string, request: (image: Buffer, choices:
 * Choices) => Request }} Route
 */

const TYPES = ['image/jpeg', 'image/png', 'image/webp']

/** A small network. @param {readonly number[]} shape */
export function modelOf(shape) {
  const [, , channels = 3] = shape
  const one = (/** @type {number} */ value) => Array.from({ length: channels }, () => value)
  return {
    architecture: {
      stem: { kernel_size: 3, filters: 4, strides: 2, pool: null },
      stages: [{ blocks: 1, filters: 4, strides: 4 }],
      input_shape: shape,
    },
    classes: 5,
    preprocessing: { scale: 1 / 255, mean: one(0), std: one(1) },
  }
}

/**
 * Every way to send an image, to models of its size and of others.
 * @param {Buffer} sound What stands beside it in a form.
 * @returns {Route[]}
 */
export function imageRoutes(sound) {
  const parts = (/** @type {Buffer} */ image) =>
    [sound, image, sound].map((bytes) => ({ name: 'images', bytes, type: 'image/jpeg' }))
  const base64 = (/** @type {Buffer} */ image) => ({ b64: image.toString('base64') })
  const raw = Object.keys(MODELS).map((model) => ({
    name: `raw, ${model}`,
    // An empty body is a missing body.
    refusals: [400, 422],
    pointer: '#',
    request: (/** @type {Buffer} */ image, /** @type {Choices} */ choices) => ({
      path: `/v1/models/${model}/predict`,
      headers: { 'content-type': choices.of(TYPES) },
      body: image,
    }),
  }))
  return [
    ...raw,
    {
      name: 'form',
      refusals: [422],
      pointer: '#/images/1',
      request: (image) => form('/v1/models/own/predict', parts(image)),
    },
    {
      name: 'form, other',
      refusals: [422],
      pointer: '#/images/1',
      request: (image) => form('/v1/models/other/predict', parts(image)),
    },
    {
      name: 'signals',
      refusals: [422],
      pointer: '#/images/1',
      request: (image) =>
        form('/v1/models/other/signals', [...parts(image), { name: 'repeats', bytes: '2' }]),
    },
    {
      name: 'base64',
      refusals: [422],
      pointer: '#/instances/1/b64',
      request: (image, choices) =>
        json(`/v1/models/${choices.of(['own', 'other'])}/predict`, { instances: [sound, image].map(base64) }),
    },
    {
      name: 'TensorFlow Serving',
      refusals: [400],
      request: (image, choices) =>
        json(`/v1/models/${choices.of(['own', 'other'])}:predict`, { instances: [image, sound].map(base64) }),
    },
    {
      name: 'v2, JSON',
      refusals: [400],
      request: (image, choices) => {
        const data = [sound, image].map((bytes) => bytes.toString('base64'))
        const input = { name: 'image_bytes', datatype: 'BYTES', shape: [2], data }
        return json(`/v2/models/${choices.of(['own', 'other'])}/infer`, { inputs: [input] })
      },
    },
    {
      name: 'v2, binary',
      refusals: [400],
      request: (image, choices) => {
        const length = Buffer.alloc(4)
        length.writeUInt32LE(image.length)
        const parameters = { binary_data_size: 4 + image.length }
        const input = { name: 'image_bytes', datatype: 'BYTES', shape: [1], parameters }
        const head = Buffer.from(JSON.stringify({ inputs: [input] }))
        return {
          path: `/v2/models/${choices.of(['own', 'other'])}/infer`,
          headers: { 'inference-header-content-length': String(head.length) },
          body: Buffer.concat([head, length, image]),
        }
      },
    },
  ]
}
