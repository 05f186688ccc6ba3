import { createHash, type Hash } from 'node:crypto'
import type { Sampler } from '../analysis/sampler.ts'
import { openWeights } from '../analysis/weights.ts'
import { sizeOf } from '../initializers/fans.ts'
import { computingThreads } from '../machine.ts'
import { planSpecification } from '../network/plan.ts'
import type { Specification } from '../network/specification.ts'
import type { BuildRequest, BuildResult } from './engine.ts'
import { Model } from './model.ts'
import type { Backend } from './tensorflow/binding.ts'
import type { Filling, RowFilling } from './tensorflow/filling.ts'
import { exportedModel } from './tensorflow/exported.ts'
import type { Folder } from './tensorflow/folding.ts'
import { Images } from './tensorflow/images.ts'
import { sessionRecipe } from './tensorflow/recipe.ts'
import { Session, type Feed } from './tensorflow/session.ts'
import { closeHeld, DRAWN_AT_ONCE, VariableValues, type Steps } from './values.ts'

/**
 * Values assigned per step. Every group costs an executor, by its variables and a constant, so fewer and
 * larger groups finish sooner and delay predictions less in total.
 */
const ASSIGNED_AT_ONCE = 2 ** 23
/**
 * Networks with more blocks are not split. Splitting doubles the graph to optimize: ResNet-50 (16 blocks) is
 * ready a tenth later, ResNet-152 (50 blocks) would be half a second later.
 */
const HALVED_AT_MOST = 32
/** Parts of a tensor start at multiples of this number of values. */
const PART = 4

export interface Build {
  readonly model: Model
  readonly result: BuildResult
}

/**
 * Builds a network in steps; the caller may run predictions between them. Most steps take about 50 ms; the
 * first assignment took up to 400 ms on a processor with AVX2. Steps that cannot be split take longer: the
 * first prediction of a deep network, a large orthogonal kernel.
 *
 * Values come in parts from the sources that digests and statistics use, and are folded before assignment.
 * The caller closes the model. A failed build leaves nothing behind.
 */
export async function* building(
  backend: Backend,
  sampler: Sampler,
  folder: Folder,
  request: BuildRequest,
): Steps<Build> {
  const { specification } = request
  const artifactBytes = artifactBytesOf(request)
  yield
  const halved = isHalved(specification, backend)
  const { bytes, fillings } = sessionRecipe(specification, halved)
  yield
  const session = await Session.open(backend, bytes)
  let images: Images | undefined
  try {
    yield
    const seal = yield* fillAll({ session, sampler, folder }, fillings, request)
    const { architecture, preprocessing } = specification
    const shape = architecture.input_shape
    images = await Images.open(backend, shape, preprocessing)
    const model = new Model(session, images, shape)
    yield* model.warmUp(halved ? 2 : 1)
    const variableBytes = fillings.reduce((sum, { bytes: size }) => sum + size, 0)
    return { model, result: { seal, artifactBytes, variableBytes } }
  } catch (error) {
    session.close()
    images?.close()
    throw error
  }
}

/**
 * True if a batch is computed in halves: on a CPU with several threads, for networks that are not too deep.
 */
function isHalved({ architecture: { stages } }: Specification, { device }: Backend): boolean {
  const blocks = stages.reduce((sum, stage) => sum + stage.blocks, 0)
  return device === 'CPU' && computingThreads() > 1 && blocks <= HALVED_AT_MOST
}

/** The size of an export: its graph, and the parameters if no recipe draws them. */
function artifactBytesOf({ specification, weightsFile, factors = {} }: BuildRequest): number {
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) return exportedModel(plan, 'drawn').byteLength
  return exportedModel(plan, 'checkpoint').byteLength + plan.totals.bytes
}

/** The tools for filling a session's variables. */
interface Fillers {
  readonly session: Session
  readonly sampler: Sampler
  readonly folder: Folder
}

/**
 * Fills every variable. Returns the SHA-256 over all of them in creation order, as the session holds them.
 */
async function* fillAll(
  { session, sampler, folder }: Fillers,
  fillings: readonly Filling[],
  request: BuildRequest,
): Steps<string> {
  const { tensors, close } = await openWeights(sampler, request)
  try {
    const values = new VariableValues(folder, tensors)
    const hash = createHash('sha256')
    for (const group of groupsOf(fillings)) {
      const [first] = group
      if (first?.rows) yield* fillRows(session, first, first.rows, values, hash)
      else yield* fillWhole(session, group, values, hash)
    }
    return hash.digest('hex')
  } finally {
    await close()
  }
}

async function* fillWhole(
  session: Session,
  group: readonly Filling[],
  values: VariableValues,
  hash: Hash,
): Steps {
  const feeds: Record<string, Feed> = {}
  let drawn = 0
  try {
    for (const { variable, value } of group) {
      const size = sizeOf(variable.shape)
      if (drawn > 0 && drawn + size > DRAWN_AT_ONCE) {
        yield
        drawn = 0
      }
      drawn += size
      feeds[value] = yield* values.of(variable.value)
    }
    yield
    const fetches = group.map((filling) => filling.held)
    for (const held of session.run(feeds, fetches)) hash.update(held)
  } finally {
    closeHeld(feeds)
  }
  yield
}

/** Fills a variable that is too large for one step. At most a part of it exists twice. */
async function* fillRows(
  session: Session,
  { variable, held }: Filling,
  { parameter, columns, create, indices, part }: RowFilling,
  values: VariableValues,
  hash: Hash,
): Steps {
  const size = sizeOf(variable.shape)
  const tensor = values.tensorOf(parameter)
  const whole = tensor.divisible ? undefined : await tensor.read(0, size)
  const height = PART * Math.max(1, Math.floor(DRAWN_AT_ONCE / columns / PART))
  session.run({}, [create])
  for (let row = 0; row < size / columns; row += height) {
    yield
    const count = Math.min(height, size / columns - row)
    const [offset, length] = [row * columns, count * columns]
    const drawn = whole?.subarray(offset, offset + length) ?? (await tensor.read(offset, length))
    const feeds = {
      [indices]: { values: Int32Array.from({ length: count }, (_, index) => row + index), shape: [count] },
      [part]: { values: drawn, shape: [count, columns] },
    }
    for (const rows of session.run(feeds, [held])) hash.update(rows)
  }
  yield
}

/** Groups variables that are assigned together, in order. A variable filled by rows is alone. */
function groupsOf(fillings: readonly Filling[]): Filling[][] {
  const groups: Filling[][] = []
  let room = 0
  for (const filling of fillings) {
    const size = sizeOf(filling.variable.shape)
    if (size > room || filling.rows) {
      groups.push([])
      room = ASSIGNED_AT_ONCE
    }
    groups.at(-1)?.push(filling)
    room -= filling.rows ? room : size
  }
  return groups
}
