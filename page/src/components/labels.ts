import type { InitializerReference, Model, SpecificationRequest } from '../../api/types.gen.ts'
import type { ModelSource } from '../state/link.ts'

/** A short label of a model: its network, its kernels' initializer, its seed. */
export function labelOf(source: ModelSource, model?: Model): string {
  if ('id' in source) return model?.names[0] ?? `model ${source.id.slice(0, 12)}`
  const { spec } = source
  const { initializers = {}, residual_scheme = 'none', seed = 0, precision = 'float32' } = spec
  return [
    networkOf(spec),
    wordsOf(initializers.kernel ?? 'glorot_uniform'),
    ...(residual_scheme === 'none' ? [] : [residual_scheme]),
    ...(precision === 'float32' ? [] : [precision]),
    `seed ${String(seed)}`,
  ].join(' · ')
}

/** An initializer in Keras's spelling: HeNormal is he_normal. */
export function wordsOf(initializer: InitializerReference): string {
  const name = typeof initializer === 'string' ? initializer : initializer.class_name
  const config = typeof initializer === 'string' ? {} : (initializer.config ?? {})
  const args = Object.entries(config).filter(([field, value]) => field !== 'seed' && value !== null)
  const words = name.replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase()
  return args.length === 0 ? words : `${words}(${args.map(([, value]) => JSON.stringify(value)).join(', ')})`
}

function networkOf({ architecture }: SpecificationRequest): string {
  if (typeof architecture === 'string') return architecture
  const { preset, ...changes } = architecture
  if (preset !== undefined) {
    const texts = Object.entries(changes).flatMap(([field, value]) =>
      typeof value === 'object' ? [] : [`${field} ${String(value)}`],
    )
    return [preset, ...texts].join(', ')
  }
  const { block = 'basic', version = 'v1.5', stages = [] } = architecture
  return `${version} ${block} ${stages.map(({ blocks }) => blocks).join('-')}`
}
