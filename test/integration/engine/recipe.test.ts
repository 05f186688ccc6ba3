import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { Sampler } from '../../../src/tensorflow/sampler.ts'
import { outputOf } from '../../../src/engine/contract.ts'
import { buildModel } from '../../../src/engine/worker/build-model.ts'
import { openBackend } from '../../../src/tensorflow/binding.ts'
import { EXPORTED, exportedModel } from '../../../src/tensorflow/exported-model.ts'
import { NormFolder } from '../../../src/tensorflow/norm-folding.ts'
import { sessionRecipe } from '../../../src/tensorflow/recipe.ts'
import { Session } from '../../../src/tensorflow/session.ts'
import { planRequest, planSpecification } from '../../../src/network/plan.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny, withScalars } from '../../support/networks.ts'

const initializers = { kernel: 'he_normal', beta: 'uniform', gamma: 'normal', dense_kernel: 'orthogonal' }
const networks = {
  'post-activation': tiny,
  'pre-activation': { ...tiny, architecture: { ...tiny.architecture, version: 'v2' } },
  'with biases and no norm': { ...tiny, architecture: { ...tiny.architecture, norm: 'none' } },
  'with scalars': withScalars(tiny),
  'of all kinds of laws': {
    ...tiny,
    architecture: { ...tiny.architecture, norm: 'none' },
    initializers: {
      stem_kernel: { class_name: 'trunc_normal_', config: { std: 0.3, a: -0.5, b: 0.7 } },
      bias: 'normal',
      dense_kernel: { class_name: 'constant_initializer', config: { value: [0.5, -1, 2] } },
      overrides: [
        { match: '**/conv1/kernel', initializer: 'delta_orthogonal' },
        { match: '**/conv2/kernel', initializer: 'dirac_' },
      ],
    },
  },
  'of negative zeros and an array that is broadcast': {
    ...tiny,
    architecture: { ...tiny.architecture, norm: 'none' },
    initializers: {
      kernel: { class_name: 'Constant', config: { value: [[0.5], [-1], [2], [1]] } },
      stem_kernel: 'he_normal',
      dense_kernel: { class_name: 'Identity', config: { gain: -1 } },
    },
  },
}
const backend = await openBackend()
const sampler = await Sampler.open(backend)
const folder = await NormFolder.open(backend)

it.each(Object.entries(networks))(
  '%s: the init op draws the same variables as a build',
  async (_, network) => {
    const { specification } = planRequest({ initializers, ...network } as never, 1e6)
    const steps = buildModel(backend, sampler, folder, { id: 'net', specification })
    let step = await steps.next()
    while (step.done !== true) step = await steps.next()
    const { model, result } = step.value
    const pixels = arithmeticImage([8, 8, 3])
    const logits = outputOf(model.predict({ values: pixels, count: 1, k: 1, vectors: ['logits'] }), 'logits')
    model.close()

    const bytes = exportedModel(planSpecification(specification), 'drawn')
    expect(result.artifactBytes).toBe(bytes.byteLength)
    const session = await Session.open(backend, bytes)
    const [drawn = []] = session.run(
      { [EXPORTED.images]: { values: Float32Array.from(pixels), shape: [1, 8, 8, 3] } },
      [EXPORTED.logits],
    )
    const largest = Math.max(...logits.map(Math.abs))
    logits.forEach((logit, index) => {
      expect(Math.abs(logit - (drawn[index] ?? Number.NaN)) / largest).toBeLessThan(1e-5)
    })
    const reads = sessionRecipe(specification, false, []).assignments.map(
      ({ variable }) => `${variable.name}/read:0`,
    )
    const hash = createHash('sha256')
    for (const values of session.run({}, reads)) hash.update(values)
    session.close()
    // TensorFlow's optimizers may reorder the factors of a folded kernel. Without folding all bits are equal.
    if (specification.architecture.norm.type === 'none') expect(hash.digest('hex')).toBe(result.seal)
  },
)
