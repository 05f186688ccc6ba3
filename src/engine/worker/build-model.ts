import { createHash } from 'node:crypto'
import type { Sampler } from '../../tensorflow/sampler.ts'
import { openWeights } from '../../tensorflow/weight-sources.ts'
import { sizeOf } from '../../initializers/fans.ts'
import { computingThreads } from '../../common/platform.ts'
import { chooseCheckpoints, computeLimits, pixelBound } from '../../network/overflow.ts'
import { planSpecification } from '../../network/plan.ts'
import type { Specification } from '../../network/specification.ts'
import type { BuildRequest, BuildResult } from '../contract.ts'
import { isSplittable } from '../footprint.ts'
import { Gains } from './measure-gains.ts'
import { Model } from './model.ts'
import type { Backend } from '../../tensorflow/binding.ts'
import type { VariableAssignment, RowAssignment } from '../../tensorflow/variable-assignment.ts'
import { exportedModel } from '../../tensorflow/exported-model.ts'
import type { NormFolder } from '../../tensorflow/norm-folding.ts'
import { Images } from '../../tensorflow/image-graph.ts'
import { sessionRecipe } from '../../tensorflow/recipe.ts'
import { Session, type Feed } from '../../tensorflow/session.ts'
import { closeHandles, VALUES_PER_STEP, VariableValues, type CooperativeTask } from './variable-values.ts'

/**
 * Values per assignment step. Every group costs an executor, with its variables and a constant, so fewer and larger
 * groups finish sooner and delay predictions less in total.
 */
const VALUES_PER_ASSIGNMENT = 2 ** 23
/** Parts of a tensor start at multiples of this many values. */
const PART = 4

export interface Build {
  readonly model: Model
  readonly result: BuildResult
}

/**
 * Builds a network in steps, between which the caller may run predictions. Most steps take about 50 ms; the first
 * assignment took up to 400 ms on a processor with AVX2. Steps that cannot be split take longer: the first
 * prediction of a deep network, a large orthogonal kernel.
 *
 * Values come in parts from the sources that digests and statistics use, and are folded before assignment. The
 * caller closes the model. A failed build releases everything.
 */
export async function* buildModel(
  backend: Backend,
  sampler: Sampler,
  folder: NormFolder,
  request: BuildRequest,
): CooperativeTask<Build> {
  const { specification } = request
  const artifactBytes = measureArtifact(request)
  yield
  const split = isSplit(specification, backend)
  const checkpoints = chooseCheckpoints(specification)
  const { bytes, assignments } = sessionRecipe(specification, split, checkpoints)
  yield
  const session = await Session.open(backend, bytes)
  let images: Images | undefined
  try {
    yield
    const gains = new Gains()
    const seal = yield* assignAll({ session, sampler, folder, gains }, assignments, request)
    const { architecture, preprocessing } = specification
    const shape = architecture.input_shape
    images = await Images.open(backend, shape, preprocessing)
    const limits = computeLimits(specification, checkpoints, (name) => gains.of(name))
    const model = new Model(session, images, shape, { limits, pixels: pixelBound(preprocessing) })
    yield* model.warmUp(split ? 2 : 1)
    return { model, result: { seal, artifactBytes } }
  } catch (error) {
    session.close()
    images?.close()
    throw error
  }
}

/**
 * True if batches are split: not on a GPU, nor with one thread, nor for networks whose first prediction would be
 * late.
 */
function isSplit(specification: Specification, { device }: Backend): boolean {
  return device === 'CPU' && computingThreads() > 1 && isSplittable(specification)
}

/** The size of an exported model: its graph, and the parameters if they are loaded. */
function measureArtifact({ specification, weightsFile, factors = {} }: BuildRequest): number {
  const plan = planSpecification(specification, { factors })
  if (weightsFile === undefined) return exportedModel(plan, 'drawn').byteLength
  return exportedModel(plan, 'checkpoint').byteLength + plan.totals.bytes
}

/**
 * The tools that assign a session's variables: the session, the sampler that draws, the folder of norms, and the
 * observer of the assigned values.
 */
interface AssignmentTools {
  readonly session: Session
  readonly sampler: Sampler
  readonly folder: NormFolder
  readonly gains: Gains
}

/** Receives a variable's values, or its next rows, as the session holds them. */
type RecordHeld = (assignment: VariableAssignment, stored: Float32Array | Int32Array) => void

/** Assigns every variable. Returns SHA-256 over all values in creation order, as the session holds them. */
async function* assignAll(
  { session, sampler, folder, gains }: AssignmentTools,
  assignments: readonly VariableAssignment[],
  request: BuildRequest,
): CooperativeTask<string> {
  const { tensors, close } = await openWeights(sampler, request)
  try {
    const values = new VariableValues(folder, tensors)
    const hash = createHash('sha256')
    const record = ({ variable }: VariableAssignment, stored: Float32Array | Int32Array): void => {
      hash.update(stored)
      gains.add(variable, stored)
    }
    for (const group of groupAssignments(assignments)) {
      const [first] = group
      if (first?.rows) yield* assignRows(session, first, first.rows, values, record)
      else yield* assignGroup(session, group, values, record)
    }
    return hash.digest('hex')
  } finally {
    await close()
  }
}

async function* assignGroup(
  session: Session,
  group: readonly VariableAssignment[],
  values: VariableValues,
  record: RecordHeld,
): CooperativeTask {
  const feeds: Record<string, Feed> = {}
  let drawn = 0
  try {
    for (const { variable, value } of group) {
      const size = sizeOf(variable.shape)
      if (drawn > 0 && drawn + size > VALUES_PER_STEP) {
        yield
        drawn = 0
      }
      drawn += size
      feeds[value] = yield* values.feed(variable.value)
    }
    yield
    const fetches = group.map((assignment) => assignment.assigned)
    const stored = session.run(feeds, fetches)
    for (const [index, assignment] of group.entries()) record(assignment, stored[index] as Float32Array)
  } finally {
    closeHandles(feeds)
  }
  yield
}

/** Assigns a variable that is too large for one step. At most a part of it exists twice. */
async function* assignRows(
  session: Session,
  assignment: VariableAssignment,
  { parameter, columns, create, indices, part }: RowAssignment,
  values: VariableValues,
  record: RecordHeld,
): CooperativeTask {
  const { variable, assigned } = assignment
  const size = sizeOf(variable.shape)
  const tensor = values.tensorOf(parameter)
  const whole = tensor.divisible ? undefined : await tensor.read(0, size)
  const height = PART * Math.max(1, Math.floor(VALUES_PER_STEP / columns / PART))
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
    for (const rows of session.run(feeds, [assigned])) record(assignment, rows)
  }
  yield
}

/** Groups variables that are assigned together, in order. A variable with rows is a group of its own. */
function groupAssignments(assignments: readonly VariableAssignment[]): VariableAssignment[][] {
  const groups: VariableAssignment[][] = []
  let remaining = 0
  for (const assignment of assignments) {
    const size = sizeOf(assignment.variable.shape)
    if (size > remaining || assignment.rows) {
      groups.push([])
      remaining = VALUES_PER_ASSIGNMENT
    }
    groups.at(-1)?.push(assignment)
    remaining -= assignment.rows ? remaining : size
  }
  return groups
}
