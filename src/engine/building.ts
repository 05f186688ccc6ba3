import { createHash, type Hash } from 'node:crypto'
import type { Sampler } from '../analysis/sampler.ts'
import { openWeights, type WeightTensor } from '../analysis/weights.ts'
import { sizeOf } from '../initializers/fans.ts'
import { planSpecification } from '../network/plan.ts'
import type { Parameter } from '../network/shapes.ts'
import type { BuildRequest, BuildResult } from './engine.ts'
import { Model } from './model.ts'
import type { Backend } from './tensorflow/binding.ts'
import type { Filling, RowFilling } from './tensorflow/filling.ts'
import { exportedModel } from './tensorflow/exported.ts'
import { Jpegs } from './tensorflow/jpegs.ts'
import { feedOf, sessionRecipe } from './tensorflow/recipe.ts'
import { Session, type Feed, type Held } from './tensorflow/session.ts'

/** Values that one step draws, so that ResNet's largest kernels are one: 25 to 80 ms on two cores, by their law. */
const DRAWN_AT_ONCE = 2_500_000
/**
 * Values that one step assigns. Every group costs an executor: some 3 ms for every variable in it and more for each group, so
 * fewer and larger groups are sooner done, and leave others waiting less in all.
 */
const ASSIGNED_AT_ONCE = 2 ** 23
/** Parts of a tensor begin at multiples of this many values. */
const PART = 4

export interface Build {
  readonly model: Model
  readonly result: BuildResult
}

type Steps<R = void> = AsyncGenerator<undefined, R>

/**
 * Builds a network in steps; between two of them whoever drives it may let predictions through. Most steps
 * take some 50 ms; the first assignment took up to 400 on a processor with AVX2. What cannot be divided takes longer: the
 * first prediction of a deep network, a large orthogonal kernel.
 *
 * Values come in parts from where digests and statistics take them; the session folds kernels from them itself. Whoever
 * takes the model closes it; a build that fails leaves nothing behind.
 */
export async function* building(backend: Backend, sampler: Sampler, request: BuildRequest): Steps<Build> {
  const { specification } = request
  const artifactBytes = artifactBytesOf(request)
  yield
  const { bytes, fillings } = sessionRecipe(specification)
  yield
  const session = await Session.open(backend, bytes)
  let jpegs: Jpegs | undefined
  try {
    yield
    const seal = yield* fillAll(session, fillings, sampler, request)
    const shape = specification.architecture.input_shape
    jpegs = await Jpegs.open(backend, shape)
    const model = new Model(session, jpegs, shape)
    model.warmUp()
    const variableBytes = fillings.reduce((sum, { bytes: size }) => sum + size, 0)
    return { model, result: { seal, artifactBytes, variableBytes } }
  } catch (error) {
    session.close()
    jpegs?.close()
    throw error
  }
}

/** What an export weighs: its graph, and beside it the parameters where no recipe draws them. */
function artifactBytesOf({ specification, weightsFile, factors = {} }: BuildRequest): number {
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) return exportedModel(plan, 'drawn').byteLength
  return exportedModel(plan, 'checkpoint').byteLength + plan.totals.bytes
}

/** Fills every variable; SHA-256 over all of them in creation order, as the session holds them. */
async function* fillAll(
  session: Session,
  fillings: readonly Filling[],
  sampler: Sampler,
  request: BuildRequest,
): Steps<string> {
  const { tensors, close } = await openWeights(sampler, request)
  try {
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]))
    const hash = createHash('sha256')
    for (const group of groupsOf(fillings)) {
      const [first] = group
      if (first?.rows) yield* fillRows(session, first, first.rows, byName, hash)
      else yield* fillWhole(session, group, byName, hash)
    }
    return hash.digest('hex')
  } finally {
    await close()
  }
}

type Tensors = ReadonlyMap<string, WeightTensor>

async function* fillWhole(session: Session, group: readonly Filling[], tensors: Tensors, hash: Hash): Steps {
  const parameters = new Map(
    group.flatMap(({ variable }) => variable.parameters.map((one) => [one.name, one] as const)),
  )
  const feeds: Record<string, Feed> = {}
  const held: Held[] = []
  let drawn = 0
  try {
    for (const parameter of parameters.values()) {
      const tensor = tensorOf(parameter, tensors)
      const size = sizeOf(parameter.shape)
      if (drawn > 0 && drawn + size > DRAWN_AT_ONCE) {
        yield
        drawn = 0
      }
      drawn += size
      if (tensor.hold && size <= DRAWN_AT_ONCE) {
        const values = tensor.hold()
        held.push(values)
        feeds[feedOf(parameter)] = values
      } else feeds[feedOf(parameter)] = yield* readWhole(tensor)
    }
    yield
    const fetches = group.map((filling) => filling.held)
    for (const values of session.run(feeds, fetches)) hash.update(values)
  } finally {
    for (const values of held) values.close()
  }
  yield
}

async function* readWhole(tensor: WeightTensor): Steps<Feed> {
  const values = new Float32Array(sizeOf(tensor.shape))
  const step = tensor.divisible ? DRAWN_AT_ONCE : values.length
  for (let offset = 0; offset < values.length; offset += step) {
    if (offset > 0) yield
    values.set(await tensor.read(offset, Math.min(step, values.length - offset)), offset)
  }
  return { values, shape: tensor.shape }
}

/** A variable too large for one step: no more than a part of it is ever there twice. */
async function* fillRows(
  session: Session,
  { variable, held }: Filling,
  { columns, create, indices, values }: RowFilling,
  tensors: Tensors,
  hash: Hash,
): Steps {
  const size = sizeOf(variable.shape)
  const [parameter] = variable.parameters
  const tensor = tensorOf(parameter, tensors)
  const whole = tensor.divisible ? undefined : await tensor.read(0, size)
  const height = PART * Math.max(1, Math.floor(DRAWN_AT_ONCE / columns / PART))
  session.run({}, [create])
  for (let row = 0; row < size / columns; row += height) {
    yield
    const count = Math.min(height, size / columns - row)
    const [offset, length] = [row * columns, count * columns]
    const part = whole?.subarray(offset, offset + length) ?? (await tensor.read(offset, length))
    const feeds = {
      [indices]: { values: Int32Array.from({ length: count }, (_, index) => row + index), shape: [count] },
      [values]: { values: part, shape: [count, columns] },
    }
    for (const rows of session.run(feeds, [held])) hash.update(rows)
  }
  yield
}

function tensorOf(parameter: Parameter | undefined, tensors: Tensors): WeightTensor {
  const tensor = parameter && tensors.get(parameter.name)
  if (tensor === undefined) throw new TypeError(`no values for ${String(parameter?.name)}`)
  return tensor
}

/** Variables that are filled together, in order: one filled by rows is alone. */
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
