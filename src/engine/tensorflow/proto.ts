import { createRequire } from 'node:module'

/** A protocol message of TensorFlow, written once and never read here. */
export interface Message {
  serializeBinary(): Uint8Array
}

/** TensorFlow's messages as tfjs-node ships them: google-protobuf classes without types. */
const classes: unknown = createRequire(import.meta.url)('@tensorflow/tfjs-node-gpu/dist/proto/api_pb.js')

/**
 * A message by its type (a nested one as `AttrValue.ListValue`), its fields and its maps, named as google-protobuf's
 * setters are: `Name` for `setName`, `InputList` for `setInputList`, `Attr` for `getAttrMap`. Throws on a name that the
 * message does not have; a field at its default is not written.
 */
export function messageOf(
  type: string,
  fields: Readonly<Record<string, unknown>>,
  maps: Readonly<Record<string, Readonly<Record<string, Message | string>>>> = {},
): Message {
  const member = (owner: unknown, name: string): unknown => {
    const found = (owner as Readonly<Record<string, unknown>>)[name]
    if (typeof found !== 'function') throw new TypeError(`TensorFlow's ${type} has no ${name}`)
    return found
  }
  const MessageClass = type.split('.').reduce(member, classes) as new () => Message
  const message = new MessageClass()
  for (const [field, value] of Object.entries(fields)) {
    const setter = member(message, `set${field}`) as (value: unknown) => void
    setter.call(message, value)
  }
  for (const [field, entries] of Object.entries(maps)) {
    const getter = member(message, `get${field}Map`) as () => Pick<Map<string, Message | string>, 'set'>
    const map = getter.call(message)
    for (const [key, value] of Object.entries(entries)) map.set(key, value)
  }
  return message
}

/** A map's messages, one for each value. */
export function messagesOf<V>(
  values: Readonly<Record<string, V>>,
  message: (value: V) => Message,
): Record<string, Message> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, message(value)]))
}

export function shapeMessage(shape: readonly number[]): Message {
  return messageOf('TensorShape', {
    DimList: shape.map((size) => messageOf('TensorShape.Dim', { Size: size })),
  })
}

/** Values of TensorFlow's `DataType`; uint64 postdates the messages tfjs-node ships, but not the library. */
export const DataType = {
  ...{ float: 1, double: 2, int32: 3, uint8: 4, string: 7, bfloat16: 14, complex128: 18, uint64: 23 },
} as const
