import { damagedPytorch } from './errors.ts'
import { INERT, isKind, type Class, type Dictionary, type PickledTensor, type Value } from './values.ts'

/** Classes of storages in `torch`, by the dtype of their values. */
const STORAGES: Readonly<Record<string, string | undefined>> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  // Bytes of any type; the tensor names its dtype.
  'torch.UntypedStorage': undefined,
  'torch.storage.UntypedStorage': undefined,
}

/** Of `torch.dtype`. */
const DTYPES: Readonly<Record<string, string>> = {
  'torch.float64': 'F64',
  'torch.float32': 'F32',
  'torch.float16': 'F16',
  'torch.bfloat16': 'BF16',
  'torch.int64': 'I64',
  'torch.uint64': 'U64',
  'torch.int32': 'I32',
  'torch.uint32': 'U32',
  'torch.int16': 'I16',
  'torch.uint16': 'U16',
  'torch.int8': 'I8',
  'torch.uint8': 'U8',
  'torch.bool': 'BOOL',
}

/** Classes and functions that make up a state_dict, and the values that they build here. */
const REBUILDERS: Readonly<Record<string, (args: readonly Value[]) => Value>> = {
  'collections.OrderedDict': ([pairs]) => buildDictionary(pairs),
  'torch.Size': ([items]) => (isKind(items, 'tuple') ? items : fail('torch.Size without lengths')),
  'torch._utils._rebuild_tensor': buildTensor,
  'torch._utils._rebuild_tensor_v2': buildTensor,
  'torch._utils._rebuild_tensor_v3': (args) => buildTensor(args, args[6]),
  'torch._utils._rebuild_parameter': ([tensor]) => requireTensor(tensor),
  'torch._utils._rebuild_parameter_with_state': ([tensor]) => requireTensor(tensor),
}

/** Classes of other values in checkpoints, which have no effect when PyTorch loads them and none here. */
const INERT_CLASSES = new Set([
  ...['argparse.Namespace', 'yacs.config.CfgNode', 'types.SimpleNamespace', '_codecs.encode'],
  ...['collections.defaultdict', 'collections.Counter', 'collections.deque'],
  ...[
    'set',
    'frozenset',
    'slice',
    'complex',
    'range',
    'xrange',
    'bytearray',
    'bytes',
    'list',
    'dict',
    'tuple',
  ]
    .concat('int', 'float', 'str', 'bool')
    .flatMap((name) => [`builtins.${name}`, `__builtin__.${name}`]),
  ...['datetime.datetime', 'datetime.date', 'datetime.time', 'datetime.timedelta', 'datetime.timezone'],
  ...['pathlib.Path', 'pathlib.PosixPath', 'pathlib.WindowsPath', 'pathlib.PurePosixPath', 'uuid.UUID'],
  ...['numpy.dtype', 'numpy.ndarray', 'numpy.bool_', 'torch.device', 'torch.dtype', 'torch.Generator'],
  ...['numpy.core.multiarray', 'numpy._core.multiarray'].flatMap((name) => [
    `${name}.scalar`,
    `${name}._reconstruct`,
  ]),
  ...['pytorch_lightning.utilities.parsing.AttributeDict', 'lightning.fabric.utilities.data.AttributeDict'],
  ...['lightning_fabric.utilities.data.AttributeDict'],
  ...Object.keys(DTYPES),
])

/** The class of that name; undefined if it is in none of the lists above. */
export function findClass(name: string): Class | undefined {
  const isKnown = Object.hasOwn(REBUILDERS, name) || Object.hasOwn(STORAGES, name) || INERT_CLASSES.has(name)
  return isKnown ? { kind: 'class', name } : undefined
}

/** The value of a call that a pickle asks for. */
export function callClass(callee: Value, args: Value): Value {
  if (!isKind(args, 'tuple')) return fail('a call without a tuple of arguments')
  // The result of an inert call can be a method, for example of a class of numpy.
  if (isKind(callee, 'inert')) return INERT
  if (!isKind(callee, 'class')) return fail('a call of a value that is no class')
  const build = Object.hasOwn(REBUILDERS, callee.name) ? REBUILDERS[callee.name] : undefined
  return build === undefined ? INERT : build(args.items)
}

/** A storage, from `('storage', class, key, device, count)`. */
export function findStorage(id: Value): Value {
  const [word, type, key, , count] = isKind(id, 'tuple') ? id.items : []
  if (word !== 'storage' || !isKind(type, 'class') || typeof key !== 'string' || !isCount(count))
    return fail('a reference to a storage that lacks its class, key or length')
  if (!Object.hasOwn(STORAGES, type.name)) return fail(`a storage of the class ${type.name}`)
  return { kind: 'storage', key, dtype: STORAGES[type.name], count }
}

function buildDictionary(pairs: Value | undefined): Dictionary {
  const entries = new Map<Value, Value>()
  if (pairs === undefined) return { kind: 'dict', entries }
  if (!isKind(pairs, 'list')) return fail('an OrderedDict of something else than a list')
  for (const pair of pairs.items) {
    const [key, value, ...more] = isKind(pair, 'tuple') || isKind(pair, 'list') ? pair.items : []
    if (key === undefined || value === undefined || more.length > 0)
      return fail('an OrderedDict of something else than pairs')
    entries.set(key, value)
  }
  return { kind: 'dict', entries }
}

/** `(storage, offset, shape, strides, ...)`; `type` is the dtype of a storage without one. */
function buildTensor([storage, offset, shape, strides]: readonly Value[], type?: Value): PickledTensor {
  if (!isKind(storage, 'storage')) return fail('a tensor without a storage')
  const dtype = isKind(type, 'class') ? DTYPES[type.name] : storage.dtype
  if (dtype === undefined) return fail('a tensor without a supported dtype')
  if (!isCount(offset) || !areCounts(shape) || !areCounts(strides))
    return fail('a tensor whose offset, shape or strides are not non-negative integers')
  return { kind: 'tensor', storage, dtype, offset, shape: shape.items, strides: strides.items }
}

function requireTensor(tensor: Value | undefined): PickledTensor {
  return isKind(tensor, 'tensor') ? tensor : fail('a parameter without a tensor')
}

function areCounts(value: Value | undefined): value is { kind: 'tuple'; items: number[] } {
  return isKind(value, 'tuple') && value.items.every(isCount)
}

function isCount(value: Value | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function fail(what: string): never {
  throw damagedPytorch(`its pickle holds ${what}`)
}
