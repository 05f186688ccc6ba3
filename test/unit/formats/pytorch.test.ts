import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ServiceError } from '../../../src/common/errors.ts'
import { openPytorch } from '../../../src/formats/pytorch/open-pytorch.ts'
import { openZip } from '../../../src/formats/zip.ts'
import { Choices } from '../../support/random.ts'
import { refusalOf } from '../support/errors.ts'
import {
  call,
  floats,
  list,
  ordered,
  pickled,
  storage,
  tensor,
  text,
  torchArchive,
  type Bytes,
} from '../support/pickles.ts'
import { zipArchive } from '../support/zip-archive.ts'

interface Expected {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

const FIXTURES = join(import.meta.dirname, '../../fixtures/pytorch')
const DTYPES: Readonly<Record<string, string>> = {
  ...{ float64: 'F64', float32: 'F32', float16: 'F16', bfloat16: 'BF16', int64: 'I64' },
  ...{ int32: 'I32', int16: 'I16', int8: 'I8', uint8: 'U8', bool: 'BOOL' },
}
const expected = JSON.parse(await readFile(join(FIXTURES, 'expected.json'), 'utf8')) as Record<
  string,
  Record<string, Expected>
>
let folder: string
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'resinit-pytorch-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function opened(bytes: Uint8Array) {
  const path = join(folder, `${String(count++)}.pth`)
  await writeFile(path, bytes)
  return openPytorch(path).finally(() => rm(path))
}

async function checkFixture(name: string, like = name): Promise<void> {
  const file = await openPytorch(join(FIXTURES, name))
  const wanted = expected[like] ?? {}
  expect([file.format, file.metadata]).toEqual(['pytorch', {}])
  expect([...file.tensors.keys()]).toEqual(Object.keys(wanted))
  for (const [key, { dtype, shape, values }] of Object.entries(wanted)) {
    expect(file.tensors.get(key)).toEqual({ name: key, dtype: DTYPES[dtype], shape })
    const whole = await file.read(key)
    expect([key, ...whole]).toEqual([key, ...Float32Array.from(values)])
    for (const [offset, length] of [
      [0, 1],
      [1, 2],
      [values.length - 1, 1],
      [values.length >> 1, 7],
    ] as const) {
      const fitting = Math.min(length, values.length - offset)
      if (offset < 0 || fitting < 0) continue
      expect([key, ...(await file.read(key, offset, fitting))]).toEqual([
        key,
        ...whole.subarray(offset, offset + fitting),
      ])
    }
  }
  await file.close()
}

describe('a file of torch.save', () => {
  test.each(['dtypes.pth', 'strides.pt', 'state_dict.bin', 'checkpoint.pth', 'storage_and_tensor.pth'])(
    '%s is read: names, dtypes, shapes, values',
    (name) => checkFixture(name),
  )

  test.each([3, 4, 5])('of pickle protocol %d is read', async (protocol) => {
    await checkFixture(`protocol_${String(protocol)}.pth`, 'state_dict.bin')
    if (protocol < 5) await checkFixture(`checkpoint_${String(protocol)}.pth`, 'checkpoint.pth')
  })

  test.each(['state_dict', 'model', 'model_state_dict', 'model_ema', 'net', 'module', 'another_key'])(
    'may have the state_dict under %s',
    (key) => checkFixture(`under_${key}.pth`, 'state_dict.bin'),
  )

  test('may hold parameters', () => checkFixture('parameters.pth', 'state_dict.bin'))

  test('has only the tensors that it lists, in their range', async () => {
    const file = await openPytorch(join(FIXTURES, 'state_dict.bin'))
    expect(() => file.read('other')).toThrow(RangeError)
    await expect(file.read('fc.bias', 1, 2)).rejects.toThrow(RangeError)
    await expect(file.read('fc.bias', -1, 1)).rejects.toThrow(RangeError)
    await file.close()
  })

  test('of a later version of PyTorch has more entries', async () => {
    const file = await opened(
      torchArchive(pickled(ordered([['a', tensor()]])), {
        ...{ 'data/0': floats(1, 2), byteorder: Buffer.from('little'), '.format_version': Buffer.from('1') },
        ...{ '.storage_alignment': Buffer.from('64'), '.data/serialization_id': Buffer.alloc(40, '1') },
      }),
    )
    expect([...(await file.read('a'))]).toEqual([1, 2])
    await file.close()
  })

  test('has dtypes without a class of storage', async () => {
    const untyped = storage('torch.storage UntypedStorage', '0', 8)
    const args = [untyped, 1, [2], [1], false, ordered([]), { global: 'torch uint16' }] as const
    const bytes = pickled(ordered([['a', call('torch._utils _rebuild_tensor_v3', ...args)]]))
    const file = await opened(torchArchive(bytes, { 'data/0': Buffer.of(9, 9, 1, 0, 0, 1, 9, 9) }))
    expect(file.tensors.get('a')).toEqual({ name: 'a', dtype: 'U16', shape: [2] })
    expect([...(await file.read('a'))]).toEqual([1, 256])
    await file.close()
  })

  test('is read in parts through far strides', async () => {
    const [rows, columns] = [3, 6_000_000]
    const values = Float32Array.from({ length: rows * columns }, (_, index) => index)
    const args = { count: values.length, shape: [columns, rows], strides: [1, columns] }
    const bytes = pickled(ordered([['a', tensor(args)]]))
    const file = await opened(torchArchive(bytes, { 'data/0': new Uint8Array(values.buffer) }))
    const start = 2 * 3 + 1
    const part = await file.read('a', start, 5)
    expect([...part]).toEqual([2 + columns, 2 + 2 * columns, 3, 3 + columns, 3 + 2 * columns])
    await file.close()
  })
})

describe('another file of PyTorch', () => {
  const cure = 'save a state_dict: torch.save(model.state_dict(), path)'
  test.each([
    ['module.pth', 'holds a whole module with the class __main__.Block', cure],
    ['module_in_checkpoint.pth', 'holds a whole module with the class __main__.Block', cure],
    ['optimizer.pth', 'is the checkpoint of an optimizer', cure],
    ['checkpoint_of_optimizer.pth', 'is a checkpoint of an optimizer without', '"epoch", "optimizer"'],
    ['two_networks.pth', 'several dicts of tensors', '"generator", "discriminator"'],
    ['list.pth', 'holds a list instead of a state_dict', cure],
    ['tensor.pth', 'holds a tensor instead of a state_dict', cure],
    ['complex.pth', 'refers to the class torch.ComplexFloatStorage', cure],
    ['sparse.pth', 'refers to the class torch._utils._rebuild_sparse_tensor', cure],
    ['quantized.pth', 'refers to the class torch._utils._rebuild_qtensor', cure],
    ['script.pt', 'is a TorchScript archive', 'torch.save(torch.jit.load(path).state_dict(), path)'],
  ])('%s is INVALID_WEIGHTS', async (name, ...words) => {
    const error = await refusalOf(openPytorch(join(FIXTURES, name)))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    for (const part of words) expect(error.message).toContain(part)
  })
})

/** A pickle of raw opcodes. */
const raw = (...parts: readonly Bytes[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))
const one = (fields: Parameters<typeof tensor>[0]) => pickled(ordered([['a', tensor(fields)]]))

/** A dict with 100,000 items, which is also under each known key of itself. */
function largeCycle(): Buffer {
  const keys = ['state_dict', 'model', 'model_state_dict', 'model_ema', 'net', 'module'].map((key) =>
    raw(text(key), 'h\0'),
  )
  const items = Array.from({ length: 100_000 }, (_, index) => raw(text(String(index)), 'N'))
  const parts = Array.from({ length: 100 }, (_, index) =>
    raw('(', ...items.slice(index * 1000, (index + 1) * 1000), 'u'),
  )
  return raw('\x80\x02}q\0', ...parts, '(', ...keys, 'u.')
}

describe('a hostile pickle', () => {
  const bytes = Buffer.alloc(70_000, ')')
  test.each<[string, Buffer, string]>([
    [
      'os.system',
      raw('\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.'),
      'refers to the class os.system, which is no part',
    ],
    ['os.system by name', raw('\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.'), 'the class os.system'],
    ['eval', raw('\x80\x02c__builtin__\neval\nX\x01\0\0\x001\x85R.'), 'the class __builtin__.eval'],
    [
      'a class within an allowed one',
      raw('\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.'),
      '_v2.__globals__',
    ],
    [
      'the prototype of an object',
      raw('\x80\x02c__proto__\nconstructor\n)R.'),
      'the class __proto__.constructor',
    ],
    [
      'a class of a longer name',
      raw(`\x80\x02c${'m'.repeat(200)}\nC\n.`),
      `the class ${'m'.repeat(100)}...; `.slice(0, 80),
    ],
    ['a class without a name', raw(`\x80\x02c${'m'.repeat(1000)}\nC\n.`), 'class without a name'],
    ['a class with a strange name', raw('\x80\x02cos\x1b[2J\nsystem\n.'), 'class whose name is no name'],
    ['an instance', raw('\x80\x02(ios\nsystem\n.'), 'opcode INST'],
    ['an object', raw('\x80\x02(cos\nsystem\no.'), 'the class os.system'],
    ['an extension', raw('\x80\x02\x82\x01.'), 'opcode EXT1'],
    ['an unknown opcode', raw('\x80\x02\xff.'), 'opcode 0xff'],
    ['a duplicated value', raw('\x80\x02}2.'), 'opcode DUP'],
    ['protocol 0', raw('(dp0\n.'), 'does not start with a protocol'],
    ['protocol 9', raw('\x80\x09}.'), 'pickle of protocol 9; save it with pickle_protocol=2'],
    ['nothing', raw(), 'ends too early'],
    ['no end', raw('\x80\x02}'), 'ends too early'],
    ['an empty stack', raw('\x80\x02.'), 'empty stack'],
    ['a tuple below its MARK', raw('\x80\x02}(\x85.'), 'empty stack'],
    ['an end without a MARK', raw('\x80\x02}u.'), 'lacks a MARK'],
    ['an unknown value', raw('\x80\x02h\x05.'), 'refers to a value that it lacks'],
    ['a text beyond the file', raw('\x80\x02X\xff\xff\x0f\0abc.'), 'ends too early'],
    ['a text of 4 GB', raw('\x80\x02X\xff\xff\xff\xffabc.'), 'text of 4294967295 bytes'],
    ['a text of 2^64 bytes', raw('\x80\x04\x8d', Buffer.alloc(8, 255), 'abc.'), 'holds a text of'],
    ['bytes of 2^64 bytes', raw('\x80\x04\x8e', Buffer.alloc(8, 255), 'abc.'), 'ends too early'],
    ['a frame of 2^64 bytes', raw('\x80\x04\x95', Buffer.alloc(8, 255), '}.'), 'ends too early'],
    ['a list of itself', raw('\x80\x02]q\0h\0a.'), 'holds a list instead'],
    [
      'a dict of itself',
      raw('\x80\x02}q\0X\x0a\0\0\0state_dicth\0s.'),
      'holds no tensors; its keys are "state_dict"',
    ],
    ['a dict that is its key', raw('\x80\x02}q\0h\0h\0s.'), 'holds no tensors; its keys are none'],
    ['a value remembered under 2^32 - 1', raw('\x80\x02}r\xff\xff\xff\xff.'), 'remembered values'],
    [
      'a call with a long list',
      raw('\x80\x02ccollections\nOrderedDict\n](', 'N'.repeat(90_000), 'e\x85R.'),
      'an OrderedDict with arguments',
    ],
    ['a large dict in itself', largeCycle(), 'holds no tensors'],
    [
      'a tuple of pairs of pairs',
      raw('\x80\x02)q\0', 'h\0h\0\x86q\0'.repeat(10_000), '.'),
      'holds a tuple instead',
    ],
    ['lists in lists', raw('\x80\x02', ']'.repeat(90_000), 'a'.repeat(89_999), '.'), 'holds a list instead'],
    ['many MARKs', raw('\x80\x02', '('.repeat(5000)), 'more than 1000 nested values'],
    ['a large stack', raw('\x80\x02', ']'.repeat(200_000)), 'more than 100000 values on its stack'],
    ['many values', raw('\x80\x02]', ']a'.repeat(600_000), '.'), 'more than 500000 values'],
    ['many opcodes', raw('\x80\x02]q\0', 'q\0'.repeat(5_000_000), '.'), 'more than 4000000 opcodes'],
    [
      'many remembered values',
      raw('\x80\x02]', '\x94'.repeat(600_000), '.'),
      'more than 500000 remembered values',
    ],
    ['an item of a text', raw('\x80\x02X\x01\0\0\0aNNs.'), 'sets an item of a value that is no dict'],
    ['half an item', raw('\x80\x02}(Nu.'), 'no dict'],
    ['an item of a list', raw('\x80\x02}Na.'), 'no list'],
    ['a state of a list', raw('\x80\x02]}b.'), 'a value that has none'],
    ['a call of a text', raw('\x80\x02X\x01\0\0\0a)R.'), 'call of a value that is no class'],
    ['a call without a tuple', raw('\x80\x02ccollections\nOrderedDict\n]R.'), 'a tuple of arguments'],
    [
      'an OrderedDict of a number',
      pickled(call('collections OrderedDict', 1)),
      'an OrderedDict with arguments',
    ],
    [
      'an OrderedDict of numbers',
      pickled(call('collections OrderedDict', list(1, 2))),
      'an OrderedDict with arguments',
    ],
    ['a Size of nothing', pickled(call('torch Size')), 'torch.Size without lengths'],
    [
      'a parameter of nothing',
      pickled(call('torch._utils _rebuild_parameter', 1)),
      'parameter without a tensor',
    ],
    ['a storage of a number', raw('\x80\x02K\x01Q.'), 'lacks its class, key or length'],
    [
      'a storage of another class',
      pickled(storage('collections OrderedDict', '0', 1)),
      'storage of the class collections.OrderedDict',
    ],
    [
      'a storage of -1 values',
      pickled(storage('torch FloatStorage', '0', -1)),
      'lacks its class, key or length',
    ],
    ['a storage in another directory', one({ key: '../version' }), 'a storage that the archive lacks'],
    ['a missing storage', one({ key: '1' }), 'tensor "a" refers to a storage that the archive lacks'],
    ['a storage beyond its entry', one({ count: 3 }), 'needs a storage of 12 bytes, but it has 8'],
    ['a storage of 2^53 values', one({ count: 2 ** 53 - 1 }), 'needs a storage of'],
    ['an offset beyond the storage', one({ offset: 1 }), 'needs a storage of 3 values, but it has 2'],
    ['an offset of -1', one({ offset: -1 }), 'not non-negative integers'],
    ['a length of -1', one({ shape: [-1] }), 'not non-negative integers'],
    ['a fractional length', one({ shape: [0.5] }), 'not non-negative integers'],
    ['a length of 2^70', one({ shape: [2n ** 70n] }), 'not non-negative integers'],
    [
      'lengths whose product overflows',
      one({ shape: Array<number>(9).fill(2 ** 52), strides: Array<number>(9).fill(0) }),
      'repeats 2 values',
    ],
    ['a stride beyond the storage', one({ shape: [2], strides: [2] }), 'needs a storage of 3 values'],
    ['a stride of 2^52', one({ shape: [2 ** 52], strides: [2 ** 52] }), 'but it has 2'],
    ['a stride of -1', one({ strides: [-1] }), 'not non-negative integers'],
    ['more strides than axes', one({ strides: [1, 1] }), 'has 1 axes and 2 strides'],
    [
      '17 axes',
      one({ shape: Array<number>(17).fill(1), strides: Array<number>(17).fill(1) }),
      'at most 16 of them',
    ],
    ['a value repeated 2^40 times', one({ shape: [2 ** 40], strides: [0] }), 'repeats 2 values'],
    [
      'a tensor of a text',
      pickled(call('torch._utils _rebuild_tensor_v2', text('0'), 0, [1], [1])),
      'tensor without a storage',
    ],
    [
      'a tensor without a dtype',
      pickled(call('torch._utils _rebuild_tensor_v2', storage('torch UntypedStorage', '0', 8), 0, [1], [1])),
      'without a supported dtype',
    ],
    ['a long key', pickled(ordered([['k'.repeat(500), 1]])), `its keys are "${'k'.repeat(100)}..."`],
    ['a control character in a key', pickled(ordered([['\x1b', 1]])), 'its keys are "\\u001b"'],
    ['nothing but tuples', raw('\x80\x02', bytes, '.'), 'holds a tuple'],
    ['a text of the maximal length', pickled(text('t'.repeat(1_048_577))), 'at most 1048576 are supported'],
  ])('with %s is INVALID_WEIGHTS in less than a second', async (_, pickle, words) => {
    const archive = torchArchive(pickle, { 'data/0': floats(1, 2) })
    const start = performance.now()
    const error = await refusalOf(opened(archive))
    expect(performance.now() - start).toBeLessThan(1000)
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
  })

  test.each([[[0, 5]], [[...Array<number>(15).fill(2 ** 52), 0]]])(
    'may describe an empty tensor',
    async (shape) => {
      const pickle = one({ shape, strides: shape.map(() => 9) })
      const file = await opened(torchArchive(pickle, { 'data/0': floats(1, 2) }))
      expect([...(await file.read('a'))]).toEqual([])
      await file.close()
    },
  )
})

describe('a hostile archive', () => {
  const pickle = one({})
  test.each<[string, Buffer, string]>([
    ['without a pickle', zipArchive([{ name: 'a/b', bytes: pickle }]), 'is a zip archive without data.pkl'],
    [
      'with two pickles',
      zipArchive(['a/data.pkl', 'b/data.pkl'].map((name) => ({ name, bytes: pickle }))),
      'several entries',
    ],
    [
      'of another byte order',
      torchArchive(pickle, { byteorder: Buffer.from('big') }),
      'byte order "big"; load and save it',
    ],
    [
      'with a long byte order',
      torchArchive(pickle, { byteorder: Buffer.alloc(99) }),
      'at most 16 are supported',
    ],
    ['with code', torchArchive(pickle, { 'code/__torch__.py': Buffer.alloc(1) }), 'is a TorchScript archive'],
    [
      'with constants',
      torchArchive(pickle, { 'constants.pkl': Buffer.alloc(1) }),
      'is a TorchScript archive',
    ],
    [
      'with a large pickle',
      zipArchive([{ name: 'a/data.pkl', bytes: Buffer.alloc(17_000_000) }]),
      'at most 16777216',
    ],
    [
      'with a compressed storage',
      zipArchive([
        { name: 'a/data.pkl', bytes: pickle },
        { name: 'a/data/0', bytes: floats(1, 2), isDeflated: true },
      ]),
      'is compressed; store the entries',
    ],
    ['that is no archive', Buffer.from('\x80\x02}.', 'latin1'), 'damaged zip archive'],
  ])('%s is INVALID_WEIGHTS', async (_, bytes, words) => {
    const error = await refusalOf(opened(bytes))
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    expect(error.message).toContain(words)
  })

  test('may have a compressed pickle', async () => {
    const entries = [
      { name: 'a/data.pkl', bytes: pickle, isDeflated: true },
      { name: 'a/data/0', bytes: floats(1, 2) },
    ]
    const file = await opened(zipArchive(entries))
    expect([...(await file.read('a'))]).toEqual([1, 2])
    await file.close()
  })
})

describe('mutated fixtures', () => {
  const names = [
    'dtypes.pth',
    'strides.pt',
    'checkpoint.pth',
    'checkpoint_4.pth',
    'protocol_4.pth',
    'module.pth',
  ]

  /** Changes, removes, repeats or exchanges some bytes. */
  function mutate(bytes: Buffer, choices: Choices): Buffer {
    let mutated = Buffer.from(bytes)
    for (let edits = choices.integer(1, 4); edits > 0; edits -= 1) {
      const at = choices.integer(0, mutated.length - 1)
      const length = choices.integer(0, 8)
      const kind = choices.integer(0, 4)
      if (kind < 3) mutated[at] = choices.of(0, 255, choices.integer(0, 255), (mutated[at] ?? 0) ^ 1)
      else if (kind === 3) mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + length)])
      else mutated = Buffer.concat([mutated.subarray(0, at + length), mutated.subarray(at)])
      if (mutated.length === 0) return mutated
    }
    return mutated
  }

  async function readEverything(bytes: Buffer): Promise<boolean> {
    const file = await opened(bytes)
    try {
      for (const name of file.tensors.keys()) await file.read(name)
      return true
    } finally {
      await file.close()
    }
  }

  async function countRefusals(inputs: Iterable<Buffer>): Promise<number> {
    let refused = 0
    for (const bytes of inputs) {
      const start = performance.now()
      const error: unknown = await readEverything(bytes).catch((reason: unknown) => reason)
      expect(performance.now() - start).toBeLessThan(2000)
      if (error === true) continue
      refused += 1
      if (!(error instanceof ServiceError)) throw error
      expect(error.code).toBe('INVALID_WEIGHTS')
    }
    return refused
  }

  test.each(names)('%s: 200 archives are read or INVALID_WEIGHTS', async (name) => {
    const bytes = await readFile(join(FIXTURES, name))
    const choices = new Choices(1)
    const mutations = Array.from({ length: 200 }, () => mutate(bytes, choices))
    expect(await countRefusals(mutations)).toBeGreaterThan(20)
  })

  test.each(names)('%s: 200 pickles are read or INVALID_WEIGHTS', async (name) => {
    const zip = await openZip(join(FIXTURES, name))
    const entries: { name: string; bytes: Buffer }[] = []
    for (const entry of zip.entries.values())
      entries.push({ name: entry.name, bytes: await zip.readWhole(entry, 100_000) })
    await zip.close()
    const choices = new Choices(2)
    const mutations = Array.from({ length: 200 }, () =>
      zipArchive(
        entries.map((entry) =>
          entry.name.endsWith('data.pkl') ? { ...entry, bytes: mutate(entry.bytes, choices) } : entry,
        ),
      ),
    )
    expect(await countRefusals(mutations)).toBeGreaterThan(20)
  })
})
