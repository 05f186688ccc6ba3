import { expect, it } from 'vitest'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { FLOAT, GraphWriter, INT32 } from '../../../src/tensorflow/graph.ts'
import { splitBatch } from '../../../src/tensorflow/split-batch.ts'
import { DataType } from '../../../src/tensorflow/proto.ts'
import { savedModelBytes } from '../../../src/tensorflow/saved-model.ts'
import { Session } from '../../../src/tensorflow/session.ts'

/** A computation that adds to each row the number of rows in its half. */
const graph = new GraphWriter()
const images = graph.placeholder('images', DataType.float, [-1, 2])
const rows = splitBatch(graph, images, (half) => {
  const size = graph.node('Size', [half], { T: FLOAT, out_type: INT32 })
  return { node: graph.floats('AddV2', [half, graph.cast(size, INT32, FLOAT)]) }
})
graph.floats('Identity', [rows.node], 'rows')
const session = await Session.open(await openBackend(), savedModelBytes({ graph, signatures: {} }))

it.each([
  [0, []],
  [1, [2]],
  [2, [2, 2]],
  [3, [4, 4, 2]],
  [7, [8, 8, 8, 8, 6, 6, 6]],
])('%i images are computed as a split batch and returned in order', (count, beside) => {
  const values = Float32Array.from({ length: 2 * count }, (_, index) => 100 * index)
  const [found] = session.run({ 'images:0': { values, shape: [count, 2] } }, ['rows:0'])
  expect([...(found ?? [])]).toEqual([...values].map((value, index) => value + (beside[index >> 1] ?? NaN)))
})
