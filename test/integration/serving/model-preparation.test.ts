import sharp from 'sharp'
import { expect, it } from 'vitest'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { FLOAT, GraphWriter, UINT8 } from '../../../src/tensorflow/graph.ts'
import { Images } from '../../../src/tensorflow/image-graph.ts'
import { DataType } from '../../../src/tensorflow/proto.ts'
import { savedModelBytes } from '../../../src/tensorflow/saved-model.ts'
import { Session, type Feed } from '../../../src/tensorflow/session.ts'
import { preprocess, type Preprocessing } from '../../../src/network/preprocessing.ts'
import { flowerJpeg } from '../../support/images.ts'

const SIDE = 32
const SHAPE = [SIDE, SIDE, 3]
const preprocessing: Preprocessing = {
  scale: 1 / 255,
  mean: [0.4, 0.5, 0.6],
  std: [0.2, 0.3, 0.4],
  channel_order: 'bgr',
  resize: null,
}

const backend = await openBackend()

/** Converted to the network's input type: the binding reads no uint8. */
const graph = new GraphWriter()
const pixels = graph.placeholder('pixels', DataType.uint8, [-1, ...SHAPE])
const cast = graph.cast(pixels, UINT8, FLOAT)
const float = { dtype: FLOAT, shape: { shape: [-1, ...SHAPE] } }
const entrance = graph.node('PlaceholderWithDefault', [cast], float, { name: 'images' })
graph.floats('Identity', [entrance], 'seen')
const session = await Session.open(backend, savedModelBytes({ graph, signatures: {} }))

function seen(images: Images, feed: Feed): Float32Array {
  const [held] = session.runToHandles({ [images.input]: feed }, ['seen:0'])
  const values = held?.read() as Float32Array
  held?.close()
  return values
}

function jpegOf(width: number, height: number, flipped = false): Promise<Buffer> {
  return sharp(flowerJpeg).resize(width, height, { fit: 'fill' }).flip(flipped).jpeg().toBuffer()
}

async function pixelsOf(jpeg: Buffer): Promise<Uint8Array> {
  return sharp(jpeg).removeAlpha().raw().toBuffer()
}

// With a network on a GPU the library only decodes on the CPU.
it.each([
  ['CPU', (values: Uint8Array) => preprocess(values, preprocessing)],
  ['GPU', (values: Uint8Array) => Float32Array.from(values)],
] as const)(
  'for a network on the %s: pixels, JPEGs, and JPEGs beside undecodable ones',
  async (device, expected) => {
    const images = await Images.open({ ...backend, device }, SHAPE, preprocessing)
    try {
      const [first, second] = [await jpegOf(SIDE, SIDE), await jpegOf(SIDE, SIDE, true)]
      const both = Buffer.concat([await pixelsOf(first), await pixelsOf(second)])
      const rows = expected(both)
      const [one, two] = [rows.subarray(0, rows.length / 2), rows.subarray(rows.length / 2)]
      images.withPixels(both, 2, (feed) => {
        expect(seen(images, feed)).toEqual(rows)
      })
      images.withJpegs([first, second], (feed, undecoded) => {
        expect(seen(images, feed)).toEqual(rows)
        expect(undecoded).toEqual([])
      })

      // A JPEG with as many pixels but another size, and a file that is not a JPEG.
      const [other, none] = [await jpegOf(SIDE / 2, SIDE * 2), Buffer.from('no image')]
      images.withJpegs([other, first, none, second], (feed, undecoded) => {
        const values = seen(images, feed)
        const size = values.length / 4
        expect(values.subarray(size, 2 * size)).toEqual(one)
        expect(values.subarray(3 * size)).toEqual(two)
        expect(undecoded).toEqual([0, 2])
      })
      images.withJpegs([other, none], (feed, undecoded) => {
        expect(seen(images, feed)).toHaveLength(2 * SIDE * SIDE * 3)
        expect(undecoded).toEqual([0, 1])
      })
    } finally {
      images.close()
    }
  },
)
