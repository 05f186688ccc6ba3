import { quoteName, invalidWeights } from '../../common/errors.ts'
import { SAVE_STATE_DICT } from './errors.ts'
import { isKind, type Dictionary, type PickledTensor, type Value } from './values.ts'

/** Where training scripts put the state_dict of a model, by preference. */
const KEYS = [
  ...['state_dict', 'model', 'model_state_dict', 'model_ema', 'net', 'module', 'state_dict_ema', 'ema'],
  ...['network', 'weights', 'params'],
]
/** A checkpoint can nest them, for example `model` in `state_dict`. */
const MAX_DICTS = 100
/** The limit of tensors in a safetensors file is the same. */
const MAX_TENSORS = 10_000
const MAX_SHOWN_KEYS = 8

/**
 * The tensors of the state_dict in a pickle: under one of the known keys, or at the root, or in the only dict of
 * tensors at the root. Other values are ignored. Throws INVALID_WEIGHTS that describes a pickle without tensors.
 */
export function findTensors(root: Value): ReadonlyMap<string, PickledTensor> {
  if (!isKind(root, 'dict')) throw noStateDict(`holds ${describeValue(root)} instead of a state_dict`)
  if (isOptimizer(root))
    throw noStateDict('is the checkpoint of an optimizer, without the weights of the model')
  const tensors = findKnown(root, new Set()) ?? findOnly(root)
  if (tensors.size > MAX_TENSORS)
    throw invalidWeights(
      `holds ${String(tensors.size)} tensors; at most ${String(MAX_TENSORS)} are supported`,
    )
  return tensors
}

/** `seen` are the dicts so far, because a dict can contain itself. */
function findKnown(dict: Dictionary, seen: Set<Dictionary>): Map<string, PickledTensor> | undefined {
  if (seen.has(dict) || seen.size >= MAX_DICTS) return undefined
  seen.add(dict)
  for (const key of KEYS) {
    const inner = dict.entries.get(key)
    const tensors = isKind(inner, 'dict') ? findKnown(inner, seen) : undefined
    if (tensors !== undefined) return tensors
  }
  const tensors = selectTensors(dict)
  return tensors.size > 0 ? tensors : undefined
}

function findOnly(root: Dictionary): Map<string, PickledTensor> {
  const found = [...root.entries]
    .map(([key, value]) => [key, isKind(value, 'dict') ? selectTensors(value) : undefined] as const)
    .filter(([, tensors]) => tensors !== undefined && tensors.size > 0)
  const [first, ...more] = found
  if (first?.[1] === undefined) {
    const hasOptimizer = [...root.entries.keys()].some((key) => key.includes('optim'))
    throw noStateDict(
      hasOptimizer
        ? `is a checkpoint of an optimizer without the weights of the model; its keys are ${shownKeys(root)}`
        : `holds no tensors; its keys are ${shownKeys(root)}`,
    )
  }
  if (more.length > 0)
    throw noStateDict(
      `holds several dicts of tensors, and none under a known key; its keys are ${shownKeys(root)}`,
    )
  return first[1]
}

function selectTensors({ entries }: Dictionary): Map<string, PickledTensor> {
  const tensors = new Map<string, PickledTensor>()
  for (const [key, value] of entries) if (isKind(value, 'tensor')) tensors.set(key, value)
  return tensors
}

function isOptimizer({ entries }: Dictionary): boolean {
  return entries.has('param_groups') && entries.has('state')
}

function shownKeys({ entries }: Dictionary): string {
  const keys = [...entries.keys()].slice(0, MAX_SHOWN_KEYS)
  const shown = keys.map((key) => quoteName(key))
  if (entries.size > MAX_SHOWN_KEYS) shown.push('...')
  return shown.length > 0 ? shown.join(', ') : 'none'
}

function describeValue(value: Value): string {
  if (value === null || typeof value !== 'object') return `a value of the type ${typeof value}`
  return `a ${value.kind === 'inert' ? 'value of another class' : value.kind}`
}

function noStateDict(detail: string) {
  return invalidWeights(`${detail}; ${SAVE_STATE_DICT}`)
}
