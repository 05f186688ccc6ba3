import { zipArchive } from './zip-archive.ts'

export type Bytes = string | Uint8Array

/** What a pickle may hold here: an array is a tuple, `global` a class. */
export type Pickled =
  string | number | bigint | boolean | Buffer | readonly Pickled[] | { readonly global: string }

/** Writes a value as pickle of protocol 2. */
export function pickled(value: Pickled): Buffer {
  return join('\x80\x02', write(value), '.')
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return join('X', uint32(bytes.length), bytes)
}

export function list(...items: readonly Pickled[]): Buffer {
  return join('](', ...items.map(write), 'e')
}

export function call(name: string, ...args: readonly Pickled[]): Buffer {
  return join(write({ global: name }), write(args), 'R')
}

/** An OrderedDict, as a state_dict. */
export function ordered(items: readonly (readonly [string, Pickled])[]): Buffer {
  return join(call('collections OrderedDict'), '(', ...items.flat().map(write), 'u')
}

export function storage(type: string, key: string, count: number): Buffer {
  return join(write(['storage', { global: type }, key, 'cpu', count]), 'Q')
}

/** A tensor of two float32 values in `data/0`, with other fields. */
export function tensor({
  key = '0',
  count = 2,
  offset = 0,
  shape = [2] as readonly (number | bigint)[],
  strides = [1] as readonly number[],
} = {}): Buffer {
  const place = storage('torch FloatStorage', key, count)
  return call('torch._utils _rebuild_tensor_v2', place, offset, shape, strides, false, ordered([]))
}

export function floats(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer)
}

/** An archive as torch.save writes it: `data.pkl`, other entries, `version`. */
export function torchArchive(pickle: Uint8Array, entries: Readonly<Record<string, Uint8Array>>): Buffer {
  const all = { 'data.pkl': pickle, ...entries, version: Buffer.from('3\n') }
  return zipArchive(Object.entries(all).map(([name, bytes]) => ({ name: `archive/${name}`, bytes })))
}

function write(value: Pickled): Buffer {
  if (Buffer.isBuffer(value)) return value
  if (typeof value === 'string') return text(value)
  if (typeof value === 'boolean') return join(value ? '\x88' : '\x89')
  if (typeof value === 'bigint') return writeLong(value)
  if (typeof value === 'number') return Number.isInteger(value) ? writeLong(BigInt(value)) : writeFloat(value)
  if ('global' in value) return join(`c${value.global.replace(' ', '\n')}\n`)
  return join('(', ...value.map(write), 't')
}

function writeLong(value: bigint): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigInt64LE(BigInt.asIntN(64, value))
  bytes.writeBigInt64LE(value >> 64n, 8)
  return join('\x8a\x10', bytes)
}

function writeFloat(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(value)
  return join('G', bytes)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function join(...parts: readonly Bytes[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
}
