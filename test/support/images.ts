import { readFileSync } from 'node:fs'
import { npyHeader } from '../../src/formats/npy.ts'

export const flowerJpeg = fixture('flower.jpg')
export const flowerWebp = fixture('flower.webp')
export const halfTransparentPng = fixture('half-transparent.png')
export const pixelPng = fixture('pixel.png')
/** A JPEG that ends in the middle of its scan. */
export const truncatedJpeg = flowerJpeg.subarray(0, flowerJpeg.length / 2)

function fixture(name: string): Buffer {
  return readFileSync(new URL(`../fixtures/${name}`, import.meta.url))
}

/** Pixels that Python code reproduces: pixel i is (i * 7919 + seed) mod 251. */
export function arithmeticImage(shape: readonly number[], seed = 0): Uint8Array {
  const size = shape.reduce((product, length) => product * length, 1)
  return Uint8Array.from({ length: size }, (_, index) => (index * 7919 + seed) % 251)
}

/** Values as an npy file. */
export function npy(shape: readonly number[], values: Uint8Array | Float32Array): Buffer {
  const header = npyHeader(shape)
  if (values instanceof Uint8Array) header.write('|u1', header.indexOf('<f4'), 'latin1')
  return Buffer.concat([header, Buffer.from(values.buffer, values.byteOffset, values.byteLength)])
}

/** The float32 values of an npy file. */
export function valuesOf(file: Buffer): Float32Array {
  const start = 10 + file.readUInt16LE(8)
  return new Float32Array(Uint8Array.from(file.subarray(start)).buffer)
}
