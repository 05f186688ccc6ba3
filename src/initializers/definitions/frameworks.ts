/** Frameworks in the order of the notes, with their names in a list that begins with TensorFlow v1. */
const FRAMEWORKS = {
  tensorflow1: 'TensorFlow v1',
  tensorflow2: 'TensorFlow v2',
  keras: 'Keras',
  jax: 'JAX',
  torch: 'torch',
  tfjs: 'tfjs-layers',
} as const
type Framework = keyof typeof FRAMEWORKS

/** An initializer in each framework: its name there, and the differences. */
export type Frameworks = Readonly<
  Record<Exclude<Framework, 'tfjs'>, string> & Partial<Record<'tfjs', string>>
>

/** All five frameworks have the same initializer. */
export const SAME: Frameworks = {
  tensorflow1: 'the same',
  tensorflow2: 'the same',
  keras: 'the same',
  jax: 'the same',
  torch: 'the same',
}

/** One sentence: frameworks with equal entries are listed together. */
export function describeFrameworks(frameworks: Frameworks): string {
  const groups = new Map<string, string[]>()
  for (const [framework, name] of Object.entries(FRAMEWORKS) as [Framework, string][]) {
    const entry = frameworks[framework]
    if (entry !== undefined) groups.set(entry, [...(groups.get(entry) ?? []), name])
  }
  const parts = [...groups].map(([entry, names]) => `${listNames(names)}: ${entry}`)
  return `${parts.join('; ')}.`
}

function listNames(names: readonly string[]): string {
  const last = names.at(-1) ?? ''
  const list = names.length < 2 ? last : `${names.slice(0, -1).join(', ')} and ${last}`
  return list
    .replace('TensorFlow v1, TensorFlow v2', 'TensorFlow v1, v2')
    .replace('TensorFlow v1 and TensorFlow v2', 'TensorFlow v1 and v2')
}
