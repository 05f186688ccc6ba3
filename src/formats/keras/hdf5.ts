import { quoteName } from '../../common/errors.ts'
import { open } from 'node:fs/promises'
import { constants } from 'node:fs'
import { resolve } from 'node:path'
import { type File, Group } from 'h5wasm/node'
import { dtypeNamed, toFloats } from '../dtypes.ts'
import { type Hyperslab, splitRange } from './hyperslabs.ts'
import { attempt, library, openAlone } from './hdf5-library.ts'
import { notKeras } from './problems.ts'

type Metadata = ReturnType<typeof library.get_dataset_metadata>

/** A dataset of numbers. */
export interface Dataset {
  readonly path: string
  /** A name of `dtypes.ts`. */
  readonly dtype: string
  readonly shape: readonly number[]
}

/** Bytes that one call of the library reads, and the size of its buffer. */
const BLOCK_BYTES = 4_194_304
const MAX_TEXTS = 20_000
const MAX_TEXT_BYTES = 33_554_432
const MAX_MEMBERS = 20_000
const FLOATS: Readonly<Record<number, string>> = { 2: 'F16', 4: 'F32', 8: 'F64' }
const INTEGERS: Readonly<Record<number, string>> = { 1: '8', 2: '16', 4: '32', 8: '64' }

/**
 * An untrusted HDF5 file. Groups and datasets are named by paths without a leading slash; links that are not hard
 * links are refused. All functions throw INVALID_WEIGHTS if the file is damaged.
 */
export class Hdf5 {
  readonly bytes: number
  readonly #file: File
  /** Paths without soft or external links. */
  readonly #hard = new Set<string>()

  /** Opens a file for reading. The caller closes it. */
  static async open(path: string): Promise<Hdf5> {
    // Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const found = await handle.stat().finally(() => handle.close())
    if (!found.isFile()) throw notKeras('it is not a regular file')
    return new Hdf5(openAlone(resolve(path)), found.size)
  }

  private constructor(file: File, bytes: number) {
    this.#file = file
    this.bytes = bytes
  }

  close(): void {
    attempt(() => this.#file.close())
  }

  /** The names of the attributes of a group or a dataset. */
  attributes(path: string): string[] {
    this.#requireHard(path)
    return attempt(() => library.get_attribute_names(this.#file.file_id, rooted(path)))
  }

  /** The strings of an attribute, which has one or more; undefined if it does not exist. */
  texts(path: string, name: string): string[] | undefined {
    if (!this.attributes(path).includes(name)) return undefined
    return attempt(() => {
      const id = this.#file.file_id
      const { type, size, total_size: count } = library.get_attribute_metadata(id, rooted(path), name)
      if (count === 0) return []
      if (type !== library.H5T_class_t.H5T_STRING.value)
        throw notKeras(`attribute ${quoteName(name)} is not text`)
      if (count > MAX_TEXTS || size * count > MAX_TEXT_BYTES)
        throw notKeras(`attribute ${quoteName(name)} is too long`)
      const value = new Group(id, rooted(path)).get_attribute(name, true)
      return [value].flat().map(String)
    })
  }

  /** The names in a group, which must exist. */
  members(path: string): string[] {
    this.#requireHard(path)
    const names = attempt(() => library.get_names(this.#file.file_id, rooted(path), false))
    if (names.length > MAX_MEMBERS)
      throw notKeras(`group ${quoteName(path)} has more than ${String(MAX_MEMBERS)} members`)
    return names
  }

  /** What a path names, which must be a member of a group. */
  kind(path: string): 'group' | 'dataset' | undefined {
    this.#requireHard(path)
    const { H5G_GROUP, H5G_DATASET } = library
    const type = attempt(() => library.get_type(this.#file.file_id, rooted(path)))
    return type === H5G_GROUP ? 'group' : type === H5G_DATASET ? 'dataset' : undefined
  }

  /** Describes a dataset, which must exist. */
  describe(path: string): Dataset {
    this.#requireHard(path)
    const id = this.#file.file_id
    const metadata = attempt(() => library.get_dataset_metadata(id, rooted(path)))
    const { shape } = metadata
    const dtype = this.#dtypeOf(metadata)
    if (dtype === undefined || shape === null)
      throw notKeras(`dataset ${quoteName(path)} does not hold numbers of a known type`)
    if (metadata.virtual_sources)
      throw notKeras(`dataset ${quoteName(path)} is virtual; save it as an ordinary one`)
    if (attempt(() => library.get_dataset_filters(id, rooted(path))).length > 0)
      throw notKeras(`dataset ${quoteName(path)} is compressed or filtered; save it without filters`)
    return { path, dtype, shape }
  }

  /** Reads `count` values in row-major order from `offset` as float32. */
  read({ path, dtype, shape }: Dataset, offset: number, count: number): Float32Array {
    const width = dtypeNamed(dtype)?.bytes ?? 1
    const values = new Float32Array(count)
    if (count === 0) return values
    return attempt(() => {
      const buffer = library._malloc(Math.min(BLOCK_BYTES, count * width))
      if (buffer === 0) throw notKeras('the library is out of memory')
      try {
        let done = 0
        for (const slab of splitRange(shape, offset, count, BLOCK_BYTES / width)) {
          const status = this.#readSlab(path, slab, BigInt(buffer))
          if (status < 0) throw notKeras(`dataset ${quoteName(path)} cannot be read`)
          values.set(toFloats(dtype, library.HEAPU8.slice(buffer, buffer + slab.size * width)), done)
          done += slab.size
        }
      } finally {
        library._free(buffer)
      }
      return values
    })
  }

  #readSlab(path: string, { starts, counts }: Hyperslab, buffer: bigint): number {
    const id = this.#file.file_id
    // A scalar has no axes to select from.
    if (counts.length === 0) return library.get_dataset_data(id, rooted(path), null, null, null, buffer)
    const [count, start, step] = [counts.map(BigInt), starts.map(BigInt), counts.map(() => 1n)]
    return library.get_dataset_data(id, rooted(path), count, start, step, buffer)
  }

  #dtypeOf({ type, size, signed }: Metadata): string | undefined {
    const { H5T_FLOAT, H5T_INTEGER, H5T_OPAQUE } = library.H5T_class_t
    if (type === H5T_FLOAT.value) return FLOATS[size]
    // NumPy has no bfloat16, so h5py writes it as two opaque bytes.
    if (type === H5T_OPAQUE.value) return size === 2 ? 'BF16' : undefined
    const bits = type === H5T_INTEGER.value ? INTEGERS[size] : undefined
    return bits === undefined ? undefined : `${signed ? 'I' : 'U'}${bits}`
  }

  /** Throws if a step of the path is a soft or an external link. The library follows these. */
  #requireHard(path: string): void {
    const steps = path.split('/')
    for (let length = 1; length <= steps.length; length += 1) {
      const prefix = steps.slice(0, length).join('/')
      if (prefix === '' || this.#hard.has(prefix)) continue
      const id = this.#file.file_id
      const isLink = attempt(
        () =>
          (library.get_symbolic_link(id, rooted(prefix)) as string | null) !== null ||
          Object.keys(library.get_external_link(id, rooted(prefix))).length > 0,
      )
      if (isLink)
        throw notKeras(`${quoteName(prefix)} is a soft or external link; store the data in its place`)
      this.#hard.add(prefix)
    }
  }
}

function rooted(path: string): string {
  return `/${path}`
}
