/** A float32 dataset in a group, `group/dataset`. */
interface Dataset {
  readonly name: string
  readonly shape: readonly number[]
}

const SIGNATURE = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1')
const SUPERBLOCK_BYTES = 96
const UNDEFINED = 2n ** 64n - 1n
/** Types of header messages (HDF5 File Format Specification, IV.A.2). */
const MESSAGE = { dataspace: 1, linkInfo: 2, datatype: 3, link: 6, layout: 8, attribute: 12 } as const
/** IEEE little-endian: sign at bit 31, exponent of 8 bits from 23 on with bias 127, fraction of 23. */
const FLOAT32 = Buffer.of(0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0)
/** Largest attribute that Keras writes; longer lists continue under numbered names (`legacy_h5_format.py`). */
const ATTRIBUTE_BYTES = 64512

/**
 * The head of an .h5 weights file for `keras.Model.load_weights`: a group per layer with a contiguous dataset per
 * weight, and both listed in order. The float32 values follow, tensor by tensor without gaps. The format is
 * superblock 0 and version 1 object headers with embedded links, without index, compression or checksums.
 */
export function kerasHdf5Header(
  tensors: readonly Dataset[],
  texts: Readonly<Record<string, string>>,
): Buffer {
  const groups = new Map<string, string[]>()
  for (const { name } of tensors) {
    const members = groups.get(splitGroup(name))
    if (members) members.push(name)
    else groups.set(splitGroup(name), [name])
  }
  const names = [...groups.keys()]
  const attributes = Object.entries(texts).map(([name, text]) => attribute(name, [text], []))
  const headers = (at: (name: string) => number): Map<string, Buffer> =>
    new Map([
      ['', objectHeader([...writeList('layer_names', names), ...attributes, ...writeLinks(names, at)])],
      ...[...groups].map(([group, members]) => {
        const list = writeList('weight_names', members.map(splitDataset))
        return [group, objectHeader([...list, ...writeLinks(members, at)])] as const
      }),
      ...tensors.map(({ name, shape }) => {
        const layout = bytes(uint8(3, 1), uint64(at(valuesKey(name)), sizeIn(shape)))
        const messages = [
          dataspace(shape),
          message(MESSAGE.datatype, FLOAT32),
          message(MESSAGE.layout, layout),
        ]
        return [name, objectHeader(messages)] as const
      }),
    ])
  // Addresses have a fixed width, so header sizes do not depend on them.
  const places = new Map<string, number>()
  let end = SUPERBLOCK_BYTES
  for (const [name, header] of headers(() => 0)) {
    places.set(name, end)
    end += header.length
  }
  for (const { name, shape } of tensors) {
    places.set(valuesKey(name), end)
    end += sizeIn(shape)
  }
  return bytes(superblock(end), ...headers((name) => places.get(name) ?? 0).values())
}

function splitGroup(name: string): string {
  return name.slice(0, name.indexOf('/'))
}

function splitDataset(name: string): string {
  return name.slice(name.indexOf('/') + 1)
}

function valuesKey(name: string): string {
  return `${name}/`
}

function sizeIn(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, FLOAT32.readUInt32LE(4))
}

/** II.A: addresses and lengths of 8 bytes; the root group's header follows. */
function superblock(end: number): Buffer {
  const root = bytes(uint64(0, SUPERBLOCK_BYTES), uint32(0, 0), uint64(0, 0))
  const versions = uint8(0, 0, 0, 0, 0, 8, 8, 0)
  return bytes(SIGNATURE, versions, uint16(4, 16), uint32(0), uint64(0, UNDEFINED, end, UNDEFINED), root)
}

/** IV.A.1.a: version 1, reference count 1. */
function objectHeader(messages: readonly Buffer[]): Buffer {
  const content = bytes(...messages)
  return bytes(uint8(1, 0), uint16(messages.length), uint32(1, content.length, 0), content)
}

function message(type: number, content: Buffer): Buffer {
  const padded = padTo8(content)
  return bytes(uint16(type, padded.length), uint8(0, 0, 0, 0), padded)
}

/** IV.A.2.c and g: hard links, stored in the header. */
function writeLinks(names: readonly string[], at: (name: string) => number): Buffer[] {
  const links = names.map((name) => {
    const own = Buffer.from(name.includes('/') ? splitDataset(name) : name)
    return message(MESSAGE.link, bytes(uint8(1, 0, own.length), own, uint64(at(name))))
  })
  return [message(MESSAGE.linkInfo, bytes(uint8(0, 0), uint64(UNDEFINED, UNDEFINED))), ...links]
}

/** Writes strings as one attribute, or as several if the list is too long. */
function writeList(name: string, texts: readonly string[]): Buffer[] {
  const perAttribute = Math.floor(ATTRIBUTE_BYTES / measureWidth(texts))
  if (texts.length <= perAttribute) return [attribute(name, texts)]
  return Array.from({ length: Math.ceil(texts.length / perAttribute) }, (_, index) =>
    attribute(`${name}${String(index)}`, texts.slice(index * perAttribute, (index + 1) * perAttribute)),
  )
}

/** IV.A.2.m, version 1: strings of equal width, padded with zeros. An empty shape stands for a single string. */
function attribute(
  name: string,
  texts: readonly string[],
  shape: readonly number[] = [texts.length],
): Buffer {
  const width = measureWidth(texts)
  const datatype = bytes(uint8(0x13, 1, 0, 0), uint32(width))
  const space = writeDataspace(shape)
  const values = Buffer.alloc(width * texts.length)
  texts.forEach((text, index) => values.write(text, index * width))
  const ownBytes = Buffer.from(`${name}\0`)
  const sizes = uint16(ownBytes.length, datatype.length, space.length)
  return message(MESSAGE.attribute, bytes(uint8(1, 0), sizes, padTo8(ownBytes), datatype, space, values))
}

function measureWidth(texts: readonly string[]): number {
  return Math.max(1, ...texts.map((text) => Buffer.byteLength(text)))
}

function dataspace(shape: readonly number[]): Buffer {
  return message(MESSAGE.dataspace, writeDataspace(shape))
}

/** IV.A.2.b, version 1. */
function writeDataspace(shape: readonly number[]): Buffer {
  return bytes(uint8(1, shape.length, 0, 0, 0, 0, 0, 0), uint64(...shape))
}

function padTo8(content: Buffer): Buffer {
  return bytes(content, Buffer.alloc(-content.length & 7))
}

function bytes(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts)
}

function uint8(...values: readonly number[]): Buffer {
  return Buffer.from(values)
}

function uint16(...values: readonly number[]): Buffer {
  return written(2, values, (buffer, value, at) => buffer.writeUInt16LE(value, at))
}

function uint32(...values: readonly number[]): Buffer {
  return written(4, values, (buffer, value, at) => buffer.writeUInt32LE(value, at))
}

function uint64(...values: readonly (number | bigint)[]): Buffer {
  return written(8, values, (buffer, value, at) => buffer.writeBigUInt64LE(BigInt(value), at))
}

function written<V>(
  size: number,
  values: readonly V[],
  write: (buffer: Buffer, value: V, at: number) => void,
): Buffer {
  const buffer = Buffer.alloc(size * values.length)
  values.forEach((value, index) => {
    write(buffer, value, index * size)
  })
  return buffer
}
