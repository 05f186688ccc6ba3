import { createHash } from 'node:crypto'
import { ServiceError } from '../errors.ts'
import { openSafetensors } from '../formats/safetensors.ts'
import { sizeOf } from '../initializers/fans.ts'
import { planSpecification } from '../network/plan.ts'
import type { Parameter } from '../network/shapes.ts'
import type { Batch, BatchResult, BuildRequest, BuildResult } from './engine.ts'
import type { Backend } from './tensorflow/binding.ts'
import type { Variable } from './tensorflow/network-ops.ts'
import { drawnRecipe, fedRecipe, feedOf, RECIPE } from './tensorflow/recipe.ts'
import { Session, type Feed } from './tensorflow/session.ts'

/** Variables are read and assigned in groups of about this size: few executors, little memory beside the model's. */
const GROUP_BYTES = 64 * 2 ** 20

interface Model {
  readonly session: Session
  readonly inputShape: readonly number[]
}

/** The networks of the serving process: sessions by model id. */
export class Models {
  readonly #backend: Backend
  readonly #models = new Map<string, Model>()

  constructor(backend: Backend) {
    this.#backend = backend
  }

  async build({ id, specification, weightsFile, factors = {} }: BuildRequest): Promise<BuildResult> {
    const plan = planSpecification(specification, { factors })
    const { bytes, variables } =
      weightsFile === undefined ? drawnRecipe(specification, plan.initialized) : fedRecipe(specification)
    const session = await Session.open(this.#backend, bytes)
    try {
      if (weightsFile !== undefined) await assign(session, variables, weightsFile)
      const seal = sealOf(session, variables)
      const model = { session, inputShape: specification.architecture.input_shape }
      warmUp(model)
      this.unload(id)
      this.#models.set(id, model)
      const variableBytes = variables.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0)
      return { seal, artifactBytes: bytes.byteLength, variableBytes }
    } catch (error) {
      session.close()
      throw error
    }
  }

  predict(batch: Batch): BatchResult {
    const model = this.#models.get(batch.id)
    if (model === undefined)
      throw new ServiceError('MODEL_NOT_READY', `the engine does not hold model ${batch.id}`)
    return run(model, batch)
  }

  unload(id: string): void {
    this.#models.get(id)?.session.close()
    this.#models.delete(id)
  }
}

const RESULTS = ['logits', 'probabilities', 'entropy', 'topLogits', 'topClasses'] as const
const FETCHES = RESULTS.map((name) => RECIPE[name])
type Fetched = [Float32Array, Float32Array, Float32Array, Float32Array, Int32Array, Float32Array?]

function run({ session, inputShape }: Model, { values, count, k, features }: Omit<Batch, 'id'>): BatchResult {
  const started = performance.now()
  const input = values instanceof Uint8Array ? RECIPE.pixels : RECIPE.images
  const feeds = {
    [input]: { values, shape: [count, ...inputShape] },
    [RECIPE.k]: { values: Int32Array.of(k), shape: [] },
  }
  const results = session.run(feeds, features ? [...FETCHES, RECIPE.features] : FETCHES)
  const [logits, probabilities, entropy, topLogits, topClasses, featureRows] = results as Fetched
  const computeMs = performance.now() - started
  return { logits, probabilities, entropy, topLogits, topClasses, features: featureRows, computeMs }
}

/** The first run optimizes the graph and reorders filters; no caller should wait for that. */
function warmUp(model: Model): void {
  run(model, { values: new Uint8Array(sizeOf(model.inputShape)), count: 1, k: 1, features: false })
}

/** SHA-256 over all variables in creation order, as the session holds them. */
function sealOf(session: Session, variables: readonly Variable[]): string {
  const hash = createHash('sha256')
  for (const group of groupsOf(variables)) {
    const reads = group.map(({ read }) => `${read}:0`)
    for (const values of session.run({}, reads)) hash.update(values)
  }
  return hash.digest('hex')
}

async function assign(session: Session, variables: readonly Variable[], weightsFile: string): Promise<void> {
  const file = await openSafetensors(weightsFile)
  try {
    for (const group of groupsOf(variables)) {
      const needed = new Map<string, Parameter>(
        group.flatMap(({ parameters }) => parameters.map((p) => [p.name, p])),
      )
      const feeds: Record<string, Feed> = {}
      for (const parameter of needed.values()) {
        feeds[feedOf(parameter)] = { values: await file.read(parameter.name), shape: parameter.shape }
      }
      const fetches = group.map(({ assigned }) => `${assigned}:0`)
      session.run(feeds, fetches)
    }
  } finally {
    await file.close()
  }
}

function groupsOf(variables: readonly Variable[]): Variable[][] {
  const groups: Variable[][] = []
  let bytes = Infinity
  for (const variable of variables) {
    const size = 4 * sizeOf(variable.shape)
    if (bytes + size > GROUP_BYTES) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)?.push(variable)
    bytes += size
  }
  return groups
}
