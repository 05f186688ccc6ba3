import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { npyHeader, readNpy } from '../../../src/formats/npy.ts'
import { ServiceError } from '../../../src/common/errors.ts'
import { refusal } from '../support/errors.ts'

function npy(header: string, data: Uint8Array, version = 1, minor = 0): Buffer {
  const start = Buffer.from([0x93, ...Buffer.from('NUMPY'), version, minor])
  const length = Buffer.alloc(version === 1 ? 2 : 4)
  const text = Buffer.from(header, version === 3 ? 'utf8' : 'latin1')
  if (version === 1) length.writeUInt16LE(text.length)
  else length.writeUInt32LE(text.length)
  return Buffer.concat([start, length, text, data])
}

const dictionary = (descr: string, shape: string, order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`

describe('npy', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 5 }), (shape) => {
        const size = shape.reduce((product, length) => product * length, 1)
        const values = Float32Array.from({ length: size }, (_, i) => i / 3)
        const header = npyHeader(shape)
        expect(header.length % 64).toBe(0)
        expect(header.at(-1)).toBe(0x0a)
        expect(readNpy(Buffer.concat([header, Buffer.from(values.buffer)]))).toEqual({ shape, values })
      }),
    )
  })

  // python3: numpy.lib.format.write_array(file, numpy.arange(3, dtype='<f4'))
  test("has numpy's own header", () => {
    const text = npyHeader([3]).subarray(10).toString('latin1')
    expect(text.trimEnd()).toBe("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }")
    expect(npyHeader([3])).toHaveLength(128)
  })

  test.each([1, 2, 3])('of version %d can hold bytes', (version) => {
    const array = readNpy(npy(dictionary('|u1', '(1, 2, 3)'), Uint8Array.of(1, 2, 3, 4, 5, 6), version))
    expect(array.shape).toEqual([1, 2, 3])
    expect([...array.values]).toEqual([1, 2, 3, 4, 5, 6])
  })

  test.each([
    ["{'shape': (2,), 'fortran_order': False, 'descr': '|u1'}", 'in another order'],
    ['{"descr": "u1", "fortran_order": False, "shape": [2,]}', 'as other programs write it'],
    ["{'descr': '<u1', 'fortran_order': False, 'shape': (2L,), }", 'of Python 2'],
  ])('with the header %s (%s) is read', (header) => {
    expect([...readNpy(npy(header, Uint8Array.of(1, 2))).values]).toEqual([1, 2])
  })

  test.each<[string, Buffer, string]>([
    ['Fortran order', npy(dictionary('<f4', '(1,)', 'True'), new Uint8Array(4)), 'numpy.ascontiguousarray'],
    ['float64', npy(dictionary('<f8', '(1,)'), new Uint8Array(8)), 'got <f8; use a.astype'],
    ['big-endian', npy(dictionary('>f4', '(1,)'), new Uint8Array(4)), 'got >f4'],
    ['objects', npy(dictionary('|O', '(1,)'), new Uint8Array(4)), 'got |O'],
    ['too little data', npy(dictionary('<f4', '(2, 2)'), new Uint8Array(15)), 'holds 15 bytes'],
    ['too much data', npy(dictionary('|u1', '()'), new Uint8Array(2)), 'needs 1'],
    [
      'version 255',
      npy(dictionary('|u1', '(1,)'), new Uint8Array(1), 255),
      'version 255.0 of the npy format',
    ],
    ['version 0', npy(dictionary('|u1', '(1,)'), new Uint8Array(1), 0), 'version 0.0 of the npy format'],
    [
      'version 1.1',
      npy(dictionary('|u1', '(1,)'), new Uint8Array(1), 1, 1),
      'versions 1.0, 2.0 and 3.0 are supported',
    ],
    ['a negative shape', npy(dictionary('|u1', '(-1,)'), new Uint8Array(1)), 'non-negative integers'],
    ['a fraction for a shape', npy(dictionary('|u1', '(1.5,)'), new Uint8Array(1)), 'lacks descr or shape'],
    [
      'a shape whose size exceeds every safe integer',
      npy(dictionary('|u1', `(${'9'.repeat(400)},)`), new Uint8Array(1)),
      'non-negative integers',
    ],
    [
      'a huge shape',
      npy(dictionary('<f4', '(4294967296, 1048576)'), new Uint8Array(4)),
      'needs 18014398509481984',
    ],
    ['a shape that is no tuple', npy(dictionary('|u1', '(1)'), new Uint8Array(1)), 'non-negative integers'],
    ['too many axes', npy(dictionary('|u1', `(${'1,'.repeat(65)})`), new Uint8Array(1)), 'at most 64'],
    ['a shape of texts', npy(dictionary('|u1', `('1',)`), new Uint8Array(1)), 'non-negative integers'],
    ['no order', npy(`{'descr': '|u1', 'shape': (1,)}`, new Uint8Array(1)), 'numpy.ascontiguousarray'],
    ['an order that is no boolean', npy(dictionary('|u1', '(1,)', '0'), new Uint8Array(1)), 'C-contiguous'],
    [
      'a structured dtype',
      npy(
        `{'descr': [('a', '<f4'), ('b', '|u1', (2,))], 'fortran_order': False, 'shape': (1,), }`,
        new Uint8Array(6),
      ),
      'got a structured dtype',
    ],
    ['texts', npy(dictionary('<U5', '(1,)'), new Uint8Array(20)), 'got <U5'],
    [
      'a dtype of another alphabet',
      npy(dictionary('<f4\u00e9\u6f22', '(1,)'), new Uint8Array(4), 3),
      'got <f4\u00e9\u6f22;',
    ],
    ['a key twice', npy(`{'descr': '|u1', 'descr': '<f4', 'shape': (1,)}`, new Uint8Array(1)), 'lacks descr'],
    ['text after its dictionary', npy(`${dictionary('|u1', '(1,)')} + 1`, new Uint8Array(1)), 'lacks descr'],
    ['a deep literal', npy('['.repeat(60_000), new Uint8Array(0)), 'lacks descr'],
    ['no dictionary', npy('{}', new Uint8Array(0)), 'lacks descr or shape'],
    ['other magic bytes', Buffer.from('PK\x03\x04 archive of arrays'), 'magic bytes'],
    ['nothing', Buffer.alloc(0), 'magic bytes'],
    ['a header cut off', npyHeader([3]).subarray(0, 40), 'lacks descr or shape'],
    ['a long header cut off in its length', npy('', new Uint8Array(0), 2).subarray(0, 10), 'npy file'],
  ])('with %s is rejected', (_, bytes, words) => {
    const error = refusal(() => readNpy(bytes))
    expect(error.code).toBe('INVALID_IMAGE')
    expect(error.message).toContain(words)
  })

  test('of arbitrary bytes is read or rejected', () => {
    const whole = npy(dictionary('<f4', '(2, 3)'), new Uint8Array(24), 2)
    const edit = fc.record({ place: fc.nat(whole.length - 1), byte: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 5 }), fc.nat(whole.length), (edits, length) => {
        const bytes = Buffer.from(whole)
        for (const { place, byte } of edits) bytes[place] = byte
        try {
          const { shape, values } = readNpy(bytes.subarray(0, length))
          expect(values).toHaveLength(shape.reduce((product, side) => product * side, 1))
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError)
        }
      }),
      { numRuns: 500, seed: 20 },
    )
  })
})
