/** Reads and writes safetensors files independently of the service. */
export interface Tensors {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly bytes: Buffer }>
}

interface Entry {
  readonly dtype: string
  readonly shape: number[]
  readonly data_offsets: [number, number]
}

export function parseSafetensors(file: Buffer): Tensors {
  const start = 8 + Number(file.readBigUInt64LE())
  const header = JSON.parse(file.subarray(8, start).toString()) as Record<string, Entry> & {
    __metadata__: Record<string, string>
  }
  const { __metadata__: metadata, ...entries } = header
  const tensors = Object.entries(entries).map(
    ([
      name,
      {
        shape,
        data_offsets: [from, to],
      },
    ]) => {
      return [name, { shape, bytes: file.subarray(start + from, start + to) }] as const
    },
  )
  return { metadata, tensors: new Map(tensors) }
}

export function writeSafetensors({ metadata, tensors }: Tensors): Buffer {
  const entries = [...tensors].map(([name, tensor]) => [name, { dtype: 'F32', ...tensor }] as const)
  return writeDtypes(Object.fromEntries(entries), metadata)
}

/** The file with modified tensors. */
export function changeTensors(
  file: Buffer,
  change: (tensors: Map<string, { shape: readonly number[]; bytes: Buffer }>) => void,
): Buffer {
  const { metadata, tensors } = parseSafetensors(file)
  const copy = new Map(tensors)
  change(copy)
  return writeSafetensors({ metadata, tensors: copy })
}

/** A file of tensors of any dtype. */
export function writeDtypes(
  tensors: Readonly<
    Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Buffer }>
  >,
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata }
  let offset = 0
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...Object.values(tensors).map(({ bytes }) => bytes)])
}
