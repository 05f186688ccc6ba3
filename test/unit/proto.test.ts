import { describe, expect, test } from 'vitest'
import { messageOf } from '../../src/engine/tensorflow/proto.ts'

const text = (value: string): string => `${String.fromCharCode(value.length)}${value}`
const written = (...message: Parameters<typeof messageOf>): string =>
  Buffer.from(messageOf(...message).serializeBinary()).toString()

describe('messages of TensorFlow', () => {
  // Protocol buffers by hand: the tag is the field's number times eight, plus two for what has a length.
  test('are written field by field, in the order of their numbers', () => {
    expect(written('NodeDef', { InputList: ['a', '^b'], Op: 'Neg', Name: 'n' })).toBe(
      `\n${text('n')}\x12${text('Neg')}\x1a${text('a')}\x1a${text('^b')}`,
    )
    expect(written('TensorShape.Dim', { Size: 3 })).toBe('\x08\x03')
  })

  test('say nothing of a field at its default', () => {
    expect(written('NodeDef', { Name: '', Device: '', InputList: [] })).toBe('')
  })

  test('hold maps of messages', () => {
    const type = messageOf('AttrValue', { Type: 1 })
    expect(written('NodeDef', {}, { Attr: { T: type } })).toBe(
      `\x2a${text(`\n${text('T')}\x12${text('\x30\x01')}`)}`,
    )
  })

  test.each([
    ['NodeDef', { InputsList: [] }, {}, "TensorFlow's NodeDef has no setInputsList"],
    ['NodeDef', {}, { Attribute: {} }, "TensorFlow's NodeDef has no getAttributeMap"],
    ['AttrValue.List', {}, {}, "TensorFlow's AttrValue.List has no List"],
  ])('%s has no field of another name', (type, fields, maps, words) => {
    expect(() => messageOf(type, fields, maps)).toThrow(words)
  })
})
