import { describe, expect, test } from 'vitest'
import { encodeSavedModel, type AttrValue, type NodeDef } from '../../../src/tensorflow/proto.ts'

/** A field with a length: its tag is its number times eight, plus two. */
const field = (number: number, content: string): string =>
  `${String.fromCharCode(number * 8 + 2, content.length)}${content}`
const node = (given: Partial<NodeDef>): string => {
  const graph = {
    nodes: [{ name: 'n', op: 'Neg', inputs: [], device: '', attributes: {}, ...given }],
    functions: [],
    versions: { producer: 1, minConsumer: 1 },
  }
  const bytes = encodeSavedModel({ schemaVersion: 1, metaGraph: { tags: [], graph, signatures: {} } })
  return Buffer.from(bytes).toString('latin1')
}
const plain = field(1, 'n') + field(2, 'Neg')

// Encoded by hand with the field numbers of TensorFlow's .proto files.
describe('messages of TensorFlow', () => {
  test('are written in the order of field numbers', () => {
    const graph =
      field(1, plain + field(3, 'a') + field(3, '^b')) + field(2, '') + field(4, '\x08\x01\x10\x01')
    expect(node({ inputs: ['a', '^b'] })).toBe(`\x08\x01${field(2, field(1, '') + field(2, graph))}`)
  })

  test('hold a collection of variables', () => {
    const variable = { handle: 'w', assign: 'w/assign', read: 'w/read' }
    const graph = { nodes: [], functions: [], versions: { producer: 1, minConsumer: 1 } }
    const metaGraph = { tags: [], graph, signatures: {}, variables: [variable] }
    const definition = `${field(1, 'w:0')}${field(2, 'w/assign')}${field(3, 'w/read:0')}\x28\x01\x38\x01`
    expect(Buffer.from(encodeSavedModel({ schemaVersion: 1, metaGraph })).toString('latin1')).toContain(
      field(4, field(1, 'local_variables') + field(2, field(2, field(1, definition)))),
    )
  })

  test('omit fields at their defaults', () => {
    expect(node({ device: '' })).toContain(field(1, plain))
    expect(node({ device: '/cpu:0' })).toContain(field(4, '/cpu:0'))
  })

  test.each<[AttrValue, string]>([
    [{ type: 1 }, '\x30\x01'],
    [{ text: 'SAME' }, field(2, 'SAME')],
    [{ flag: false }, '\x28\x00'],
    [{ integer: 0 }, '\x18\x00'],
    [{ integers: [1, 300] }, field(1, field(3, '\x01\xac\x02'))],
    [{ types: [1] }, field(1, field(6, '\x01'))],
    [{ shape: [3, 0] }, field(7, field(2, '\x08\x03') + field(2, ''))],
    [{ shape: [-1] }, field(7, field(2, '\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01'))],
    [{ shapes: [[2], []] }, field(1, field(7, field(2, '\x08\x02')) + field(7, ''))],
    [{ call: 'f' }, field(10, field(1, 'f'))],
    [{ texts: ['a'] }, field(8, `\x08\x07${field(2, field(2, '\x08\x01'))}${field(8, 'a')}`)],
    [
      { tensor: { type: 4, shape: [1], bytes: Uint8Array.of(9) } },
      field(8, `\x08\x04${field(2, field(2, '\x08\x01'))}${field(4, '\x09')}`),
    ],
  ])('hold a map of attributes: %j', (value, written) => {
    expect(node({ attributes: { T: value } })).toContain(
      field(1, plain + field(5, field(1, 'T') + field(2, written))),
    )
  })
})
