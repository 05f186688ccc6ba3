import { sizeOf } from '../initializers/fans.ts'
import { DIGITS } from './data.ts'
import stored from './digits.json' with { type: 'json' }

/** Pictures as the network's input, [count, 8, 8, 1], and their classes. */
export interface Pictures {
  readonly images: Float32Array
  readonly labels: Int32Array
}

/** The training and the test pictures. */
export interface Digits {
  readonly training: Pictures
  readonly test: Pictures
}

/** Base of the digits that encode the pixels. */
const BASE = 17
const SIZE = sizeOf(DIGITS.shape)

export function readDigits(): Digits {
  const pixels = stored.images.flatMap((image) => Array.from(image, (pixel) => parseInt(pixel, BASE)))
  const trained = pixels.slice(0, DIGITS.training * SIZE)
  const mean = average(trained)
  const deviation = Math.sqrt(average(trained.map((pixel) => (pixel - mean) ** 2)))
  const part = (from: number, to: number): Pictures => ({
    images: Float32Array.from(pixels.slice(from * SIZE, to * SIZE), (pixel) => (pixel - mean) / deviation),
    labels: Int32Array.from(stored.labels.slice(from, to), Number),
  })
  return {
    training: part(0, DIGITS.training),
    test: part(DIGITS.training, DIGITS.training + DIGITS.test),
  }
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
