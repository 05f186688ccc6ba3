import type { Initializer } from '../initializers/initializer.ts'
import { PythonRandom } from '../initializers/mersenne-twister.ts'
import type { SeedVector } from '../initializers/seeds.ts'
import { layersWithShortcutsBefore } from './layer-names.ts'
import type { Role } from './ops.ts'

/** Upper limit of the random seeds that Keras gives to initializers without one (`random_initializers.py`). */
const LARGEST_SEED = 10 ** 9
/** Construction order of a layer's initializers (`base_conv.py`, `dense.py`, `batch_normalization.py`). */
const ROLES: readonly Role[] = ['kernel', 'bias', 'beta', 'gamma']

interface ConstructedParameter {
  readonly name: string
  readonly role: Role
  readonly initializer: Initializer
}

/**
 * The seeds after `keras.utils.set_random_seed(seed)`, one per parameter: each random initializer without a seed
 * draws one integer, in the order in which Keras constructs the layers. A block's shortcut precedes its first
 * convolution (`keras/src/applications/resnet.py`).
 */
export function constructionSeeds(parameters: readonly ConstructedParameter[], seed: number): SeedVector[] {
  const random = new PythonRandom(seed)
  const seeds = new Map<ConstructedParameter, number>()
  const rank = ({ role }: ConstructedParameter): number => ROLES.indexOf(role)
  for (const layer of layersWithShortcutsBefore(parameters, () => 'conv1')) {
    for (const made of layer.sort((a, b) => rank(a) - rank(b)))
      if (made.initializer.config['seed'] === null) seeds.set(made, random.integer(1, LARGEST_SEED))
  }
  return parameters.map((parameter) => [seeds.get(parameter) ?? 0, 0])
}
