import { type ServiceError, quoteName, invalidWeights } from '../common/errors.ts'
import { hasPreActivations, kerasReader } from './keras-names.ts'
import { readOwnName, type KnownName, type ReadName } from './layer-names.ts'
import { layouts, type Layout } from './layouts.ts'
import { readTorchvisionName } from './torchvision-names.ts'
import { BASE_MODEL, readTransformersName } from './transformers-names.ts'

/** A tensor of a weights file. The name is the file's. */
export interface FoundTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
}

/** The prefix that stands for any prefix which the tensors share. */
const AUTO_PREFIX = 'auto'

/** The tensors of a file that have a residual network's names. */
export interface LocatedNetwork {
  readonly names: Layout
  /** The part of the tensors' names before the scheme's names, for example `module.`. */
  readonly prefix: string
  /** The part before the names of layers; transformers' classification model adds `resnet.` to the prefix. */
  readonly bodyPrefix: string
  /** The most tensors with each scheme's names after one prefix, without the dense layer. */
  readonly tried: readonly (readonly [Layout, number])[]
  /** The tensors by the names of this service. */
  readonly tensors: ReadonlyMap<string, FoundTensor>
}

/** Longer names and prefixes are not those of a network. Limits the work for each name. */
const MAX_TAIL = 128
const MAX_PREFIX = 256

/** Text for users about each scheme. */
export const SCHEMES: Readonly<Record<Layout, string>> = {
  resinit: 'this service',
  torchvision: 'torchvision and timm',
  keras: 'Keras applications',
  transformers: "transformers' ResNet",
}

interface Hit extends KnownName {
  readonly tensor: FoundTensor
  readonly prefix: string
}

/**
 * Finds the naming scheme and the prefix with the most tensors. Without a given prefix, the dense layer may lie outside
 * the prefix of the other layers: `backbone.conv1.weight` and `fc.weight`. Undefined if no layer has a known name. The
 * time is linear in the number of tensors.
 */
export function locateNetwork(found: readonly FoundTensor[], prefix: string): LocatedNetwork | undefined {
  const preActivation = hasPreActivations(found.map(({ name }) => name.slice(-MAX_TAIL)))
  const readers: Readonly<Record<Layout, ReadName>> = {
    resinit: readOwnName,
    torchvision: readTorchvisionName,
    keras: kerasReader(preActivation),
    transformers: readTransformersName,
  }
  let best: { names: Layout; bodyPrefix: string; hits: Hit[]; heads: Map<string, Hit[]> } | undefined
  const tried = layouts.map((names): [Layout, number] => {
    let most = 0
    const bodies = new Map<string, Hit[]>()
    const heads = new Map<string, Hit[]>()
    for (const tensor of found) {
      const hit = readHit(tensor, readers[names])
      if (hit === undefined) continue
      const groups = isHead(hit.parameter) ? heads : bodies
      const group = groups.get(hit.prefix)
      if (group === undefined) groups.set(hit.prefix, [hit])
      else group.push(hit)
    }
    for (const [bodyPrefix, hits] of bodies) {
      if (!fitsPrefix(bodyPrefix, prefix, names)) continue
      most = Math.max(most, hits.length)
      if (hits.length > (best?.hits.length ?? 0)) best = { names, bodyPrefix, hits, heads }
    }
    return [names, most]
  })
  if (best === undefined) return undefined
  const { names, bodyPrefix, hits, heads } = best
  const outer = names === 'transformers' ? withoutBaseModel(bodyPrefix) : bodyPrefix
  const headPrefixes = prefix === AUTO_PREFIX ? [bodyPrefix, ...ancestors(bodyPrefix)] : [outer]
  const head =
    headPrefixes.map((candidate) => heads.get(candidate)).find((group) => group !== undefined) ?? []
  return {
    names,
    prefix: outer,
    bodyPrefix,
    tried,
    tensors: new Map([...hits, ...head].map(({ parameter, tensor }) => [parameter, tensor])),
  }
}

/** Whether a parameter of this service is the dense layer's. */
export function isHead(parameter: string): boolean {
  return parameter.startsWith('head/dense/')
}

/** Without torch's counters of batches in each norm, which have no effect on predictions. */
export function withoutCounters(found: readonly FoundTensor[]): FoundTensor[] {
  return found.filter(({ name }) => !/(^|[./])num_batches_tracked$/.test(name.slice(-MAX_TAIL)))
}

/** The full name in a file of a tensor of its scheme. */
export function fullName({ names, prefix, bodyPrefix }: LocatedNetwork, name: string): string {
  const isBase = names === 'transformers' && name.startsWith(BASE_MODEL)
  return isBase ? `${bodyPrefix}${name.slice(BASE_MODEL.length)}` : `${prefix}${name}`
}

function readHit(tensor: FoundTensor, read: ReadName): Hit | undefined {
  const { name } = tensor
  if (name.length > MAX_PREFIX + MAX_TAIL) return undefined
  const known = read(name.slice(-MAX_TAIL))
  return known && { ...known, tensor, prefix: name.slice(0, name.length - known.tail.length) }
}

/** Whether the layers' prefix is the given one, which may lack the separator at its end. */
function fitsPrefix(bodyPrefix: string, given: string, names: Layout): boolean {
  if (given === AUTO_PREFIX) return true
  const outer = names === 'transformers' ? withoutBaseModel(bodyPrefix) : bodyPrefix
  return [bodyPrefix, outer].some(
    (known) => known === given || (given !== '' && known.slice(0, -1) === given),
  )
}

function withoutBaseModel(prefix: string): string {
  return prefix === BASE_MODEL || prefix.endsWith(`.${BASE_MODEL}`) || prefix.endsWith(`/${BASE_MODEL}`)
    ? prefix.slice(0, -BASE_MODEL.length)
    : prefix
}

/** `a.` and the empty prefix of `a.b.`. */
function ancestors(prefix: string): string[] {
  const starts = [...prefix.slice(0, -1).matchAll(/[./]/g)].map(({ index }) => prefix.slice(0, index + 1))
  return prefix === '' ? [] : [...starts.reverse(), '']
}

/** Families of networks by their names, for errors. */
const OTHER_NETWORKS: readonly (readonly [RegExp, string])[] = [
  [
    /(^|\.)(cls_token|pos_embed|patch_embed\.|class_token|encoder\.layers\.encoder_layer_)/,
    'a vision transformer',
  ],
  [/(^|\.)(layers|stages)\.\d+\.blocks\.\d+\./, "a network with timm's names for stages and blocks"],
  [/(^|\.)features\.\d+\./, 'a network of one sequence of features, such as VGG, DenseNet or EfficientNet'],
  [/(^|\.)(blocks\.\d+\.\d+\.|conv_stem\.)/, 'a network of the EfficientNet family'],
  [/(^|[./])(exp_avg|exp_avg_sq|momentum_buffer|optimizer)/, "an optimizer's state"],
]

/** The error for a file without the names of a residual network. */
export function unknownNames(found: readonly FoundTensor[], prefix: string): ServiceError {
  const [first] = found
  if (first === undefined) return invalidWeights('has no tensor')
  const examples = found.slice(0, 3).map(({ name }) => quoteName(name))
  const family = OTHER_NETWORKS.flatMap(([pattern, text]) => {
    const shown = found.find(({ name }) => pattern.test(name.slice(0, MAX_PREFIX)))
    return shown ? [`; ${quoteName(shown.name)} is a name of ${text}`] : []
  })[0]
  const given = prefix === AUTO_PREFIX ? '' : ` after the prefix ${quoteName(prefix)}`
  const cure =
    prefix === AUTO_PREFIX
      ? `; rename the tensors to the names of one of them`
      : `; "load": {"prefix": "auto"} finds the prefix`
  return invalidWeights(
    `has no residual network's names${given}: tried those of ${Object.values(SCHEMES).join(', ')}; the first of ${String(found.length)} tensors are ${examples.join(', ')}${family ?? cure}`,
  )
}
