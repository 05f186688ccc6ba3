import { FLOAT, type GraphWriter, INT32 } from './graph.ts'

/**
 * Writes a computation of rows from images, float32 [n, ...], twice: the two halves of a batch are computed at the
 * same time.
 *
 * oneDNN divides a convolution into one part per thread and waits for the last part, so a delay of one thread
 * delays all. With a second half the other threads have work meanwhile. A single image is computed by the first
 * half; no node of the second half runs.
 */
export function splitBatch<R extends { readonly node: string }>(
  graph: GraphWriter,
  images: string,
  compute: (images: string) => R,
): R {
  const integers = { T: INT32 }
  const one = graph.integers([1], [])
  const slicing = { ...integers, Index: INT32, shrink_axis_mask: { integer: 1 } }
  const shape = graph.node('Shape', [images], { T: FLOAT, out_type: INT32 })
  const count = graph.node(
    'StridedSlice',
    [shape, graph.integers([0]), graph.integers([1]), graph.integers([1])],
    slicing,
  )
  const more = graph.node('AddV2', [count, one], integers)
  const larger = graph.node('FloorDiv', [more, graph.integers([2], [])], integers)
  // -1 means the remainder.
  const sizes = graph.node('Pack', [larger, graph.integers([-1], [])], { ...integers, N: { integer: 2 } })
  const rows = graph.integers([0], [])
  const halves = graph.node('SplitV', [images, sizes, rows], {
    ...{ T: FLOAT, Tlen: INT32 },
    num_split: { integer: 2 },
  })
  const divided = graph.node('Greater', [count, one], integers)
  const begun = compute(halves)
  // The second output of a Switch exists if its predicate is true; nodes that depend on a missing output do not
  // run.
  const rest = compute(`${writeSwitch(graph, `${halves}:1`, divided)}:1`)
  const whole = writeSwitch(graph, begun.node, divided)
  const joining = { T: FLOAT, Tidx: INT32, N: { integer: 2 } }
  const joined = graph.node('ConcatV2', [`${whole}:1`, rest.node, rows], joining)
  return { ...begun, node: graph.node('Merge', [whole, joined], { T: FLOAT, N: { integer: 2 } }) }
}

function writeSwitch(graph: GraphWriter, values: string, predicate: string): string {
  return graph.node('Switch', [values, predicate], { T: FLOAT })
}
