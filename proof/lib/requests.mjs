import { readdir, readFile } from 'node:fs/promises'
import sharp from 'sharp'

/**
 * @typedef {import('./client.mjs').Request} Request
 */

const SIDE = 8
export const SHAPE = [SIDE, SIDE, 3]
const SIZE = SIDE * SIDE * 3

/** A small network that is built within milliseconds. @param {number} seed */
export function specification(seed) {
  const stem = { kernel_size: 3, filters: 4, strides: 1, pool: null }
  const architecture = { stem, stages: [{ blocks: 1, filters: 4 }], input_shape: SHAPE }
  return { architecture, classes: 5, preprocessing: 'unit', initializers: { kernel: 'he_normal' }, seed }
}

/** Pixels of an image of the network's size. @param {number} seed */
export function pixels(seed) {
  return Buffer.from(Array.from({ length: SIZE }, (_, index) => (index * 7919 + seed * 31) % 251))
}

/**
 * Image files: of the network's size, which the engine decodes itself, and photographs, which are resized.
 * @returns {Promise<{ type: string, bytes: Buffer }[]>}
 */
export async function imageFiles() {
  const own = sharp(pixels(1), { raw: { width: SIDE, height: SIDE, channels: 3 } })
  const fixture = (/** @type {string} */ name) =>
    readFile(new URL(`../../test/fixtures/${name}`, import.meta.url))
  return [
    { type: 'image/jpeg', bytes: await own.clone().jpeg().toBuffer() },
    { type: 'image/png', bytes: await own.clone().png().toBuffer() },
    { type: 'image/webp', bytes: await own.clone().webp().toBuffer() },
    { type: 'image/jpeg', bytes: await fixture('flower.jpg') },
    { type: 'image/webp', bytes: await fixture('flower.webp') },
    { type: 'image/png', bytes: await fixture('half-transparent.png') },
    { type: 'image/jpeg', bytes: await own.clone().jpeg({ progressive: true }).toBuffer() },
    { type: 'image/webp', bytes: await own.clone().webp({ lossless: true }).toBuffer() },
  ]
}

/** Valid and hostile weights files of PyTorch and Keras. */
export async function weightsFiles() {
  const folders = ['pytorch', 'keras'].map((name) => new URL(`../../test/fixtures/${name}/`, import.meta.url))
  const files = await Promise.all(
    folders.map(async (folder) => {
      const names = (await readdir(folder)).filter((name) => /\.(pth|pt|bin|h5|keras)$/.test(name)).sort()
      return Promise.all(names.map((name) => readFile(new URL(name, folder))))
    }),
  )
  return files.flat()
}

/** An npy file of uint8. @param {readonly number[]} shape @param {Buffer} values */
export function npy(shape, values) {
  const header =
    `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`.padEnd(117) + '\n'
  const head = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0])
  return Buffer.concat([head, Buffer.from(header), values])
}

/**
 * A form; a part with a type is a file.
 * @param {string} path
 * @param {readonly { name: string, bytes: Buffer | string, type?: string }[]} parts
 * @returns {Request & { body: Buffer }}
 */
export function form(path, parts) {
  const boundary = 'a-boundary-of-the-proof'
  const written = parts.map(({ name, bytes, type }) => {
    const file = type === undefined ? '' : `; filename="file"\r\nContent-Type: ${type}`
    return [`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n`, bytes, '\r\n']
  })
  return {
    path,
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...written.flat(), `--${boundary}--\r\n`].map((piece) => Buffer.from(piece))),
  }
}

/** @param {string} path @param {unknown} value @returns {Request & { body: Buffer }} */
export function json(path, value) {
  return { path, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify(value)) }
}

/** An inference request with one image after its JSON. @param {string} model @param {Buffer} image */
export function binaryInference(model, image) {
  const input = { name: 'images', datatype: 'UINT8', shape: [1, ...SHAPE] }
  const head = Buffer.from(
    JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: image.length } }] }),
  )
  return {
    path: `/v2/models/${model}/infer`,
    headers: { 'inference-header-content-length': String(head.length) },
    body: Buffer.concat([head, image]),
  }
}
