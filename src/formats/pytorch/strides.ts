import { countValues } from '../shape.ts'
import { invalidWeights } from '../../common/errors.ts'

/** Positions of a tensor's values in its storage, in elements. */
export interface Layout {
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** Values of a storage that are in memory at once. */
const MAX_SPAN = 16_777_216
/** Reads for one tensor. */
const MAX_READS = 65_536

/** The distance from the first to the last value, plus one; 0 if there is no value. */
export function measureSpan(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0
  return shape.reduce((sum, length, axis) => sum + (length - 1) * (strides[axis] ?? 0), 1)
}

/** Whether the values lie in row-major order without gaps. */
export function isContiguous({ shape, strides }: Layout): boolean {
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const length = shape[axis] ?? 1
    if (length !== 1 && strides[axis] !== step) return false
    step *= length
  }
  return true
}

/**
 * A tensor is split into boxes: one index for each axis before `axis`, all indices of the others. `rows` boxes that
 * differ in axis `axis - 1` alone are read at once.
 */
interface Boxes {
  readonly axis: number
  readonly rows: number
}

/**
 * Reads `count` values in row-major order from value `start` of a tensor of at least one axis, with any strides. `readStorage` reads adjacent
 * values of the storage. Memory is bounded by MAX_SPAN values beside the result. Throws INVALID_WEIGHTS if the strides
 * need too many reads.
 */
export async function readStrided(
  layout: Layout,
  start: number,
  count: number,
  readStorage: (position: number, length: number) => Promise<Float32Array>,
): Promise<Float32Array> {
  const { axis, rows } = chooseBoxes(layout)
  const [shape, strides] = [layout.shape.slice(axis), layout.strides.slice(axis)]
  const boxValues = countValues(shape)
  const boxSpan = measureSpan(shape, strides)
  const [length = 1, stride = 0] = [layout.shape[axis - 1], layout.strides[axis - 1]]
  const result = new Float32Array(count)
  for (let done = 0; done < count;) {
    const box = Math.floor((start + done) / boxValues)
    const skipped = start + done - box * boxValues
    const taken = Math.min(rows, length - (box % length), Math.ceil((skipped + count - done) / boxValues))
    const position = locate(layout, axis, box)
    const values = await readStorage(position, (taken - 1) * stride + boxSpan)
    const wanted = Math.min(count - done, taken * boxValues - skipped)
    gather(values, [taken, ...shape], [stride, ...strides], skipped, result.subarray(done, done + wanted))
    done += wanted
  }
  return result
}

/** The largest boxes with a span of at most MAX_SPAN. */
function chooseBoxes({ shape, strides }: Layout): Boxes {
  for (let axis = 1; axis <= shape.length; axis += 1) {
    const span = measureSpan(shape.slice(axis), strides.slice(axis))
    if (span > MAX_SPAN) continue
    const [length = 1, stride = 0] = [shape[axis - 1], strides[axis - 1]]
    const rows = stride === 0 ? length : 1 + Math.floor((MAX_SPAN - span) / stride)
    const reads = Math.ceil(length / rows) * countValues(shape.slice(0, axis - 1))
    if (reads <= MAX_READS) return { axis, rows }
    break
  }
  throw invalidWeights(
    `holds a tensor of shape [${shape.join(', ')}] with strides [${strides.join(', ')}], which are far apart; ` +
      'save it as tensor.contiguous()',
  )
}

/** The position of the first value of a box: the boxes are numbered in row-major order. */
function locate({ offset, shape, strides }: Layout, axis: number, box: number): number {
  let position = offset
  let rest = box
  for (let outer = axis - 1; outer >= 0; outer -= 1) {
    const length = shape[outer] ?? 1
    position += (rest % length) * (strides[outer] ?? 0)
    rest = Math.floor(rest / length)
  }
  return position
}

/** Copies values in row-major order, from value `start` of the shape on, until `target` is full. */
function gather(
  values: Float32Array,
  shape: readonly number[],
  strides: readonly number[],
  start: number,
  target: Float32Array,
): void {
  const indices = shape.map((_, axis) => {
    const inner = countValues(shape.slice(axis + 1))
    return Math.floor(start / inner) % (shape[axis] ?? 1)
  })
  let position = indices.reduce((sum, index, axis) => sum + index * (strides[axis] ?? 0), 0)
  for (let done = 0; done < target.length; done += 1) {
    target[done] = values[position] ?? NaN
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      const index = (indices[axis] ?? 0) + 1
      position += strides[axis] ?? 0
      if (index < (shape[axis] ?? 1)) {
        indices[axis] = index
        break
      }
      position -= index * (strides[axis] ?? 0)
      indices[axis] = 0
    }
  }
}
