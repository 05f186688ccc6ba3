import { expect, it } from 'vitest'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { FLOAT, GraphWriter, INT32 } from '../../../src/tensorflow/graph.ts'
import { DataType } from '../../../src/tensorflow/proto.ts'
import { savedModelBytes } from '../../../src/tensorflow/saved-model.ts'
import { Session } from '../../../src/tensorflow/session.ts'

const RUNS = 200
const MEGABYTES = 2

it('a failed run releases its inputs', async () => {
  const graph = new GraphWriter()
  const values = graph.placeholder('values', DataType.float, [-1])
  const shape = graph.placeholder('shape', DataType.int32, [-1])
  graph.node('Reshape', [values, shape], { T: FLOAT, Tshape: INT32 }, { name: 'reshaped' })
  const session = await Session.open(await openBackend(), savedModelBytes({ graph, signatures: {} }))
  const fail = (): void => {
    const feeds = {
      'values:0': { values: new Float32Array((MEGABYTES * 1e6) / 4).fill(1), shape: [(MEGABYTES * 1e6) / 4] },
      'shape:0': { values: Int32Array.of(7), shape: [1] },
    }
    expect(() => session.run(feeds, ['reshaped:0'])).toThrow(/requested shape/)
  }
  for (let run = 0; run < RUNS / 4; run++) fail()
  const before = process.memoryUsage().rss
  for (let run = 0; run < RUNS; run++) fail()
  // The runs fed 400 MB. Memory that is not yet garbage-collected is less.
  expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan((RUNS * MEGABYTES) / 2)
  session.close()
})
