import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { ServiceError } from '../../../src/common/errors.ts'
import type { WeightsFile, WeightsPart } from '../../../src/formats/weights-file.ts'

export type Content = Uint8Array | string | object

/** Files of uploads in a temporary directory. */
export class PartsFolder {
  readonly path: string
  #count = 0

  private constructor(path: string) {
    this.path = path
  }

  static async create(): Promise<PartsFolder> {
    return new PartsFolder(await mkdtemp(join(tmpdir(), 'resinit-parts-')))
  }

  /** Writes parts by name; an object is written as JSON. */
  async write(files: Readonly<Record<string, Content>>): Promise<WeightsPart[]> {
    const folder = join(this.path, String(this.#count++))
    await mkdir(folder)
    const parts: WeightsPart[] = []
    for (const [name, content] of Object.entries(files)) {
      const path = join(folder, String(parts.length))
      const isBytes = typeof content === 'string' || content instanceof Uint8Array
      await writeFile(path, isBytes ? content : JSON.stringify(content))
      parts.push({ name, path })
    }
    return parts
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true })
  }
}

/** Reads all tensors of a file, whole and in parts, and closes it. Any other error than INVALID_WEIGHTS fails. */
export async function readAll(opening: Promise<WeightsFile>): Promise<'read' | 'refused'> {
  try {
    const file = await opening
    try {
      for (const { name, shape } of file.tensors.values()) {
        const size = shape.reduce((product, length) => product * length, 1)
        const values = await file.read(name)
        expect(values).toHaveLength(size)
        if (size > 1) expect(await file.read(name, 1, 1)).toEqual(values.slice(1, 2))
      }
    } finally {
      await file.close()
    }
    return 'read'
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    expect(error).toMatchObject({ code: 'INVALID_WEIGHTS', errors: [{ pointer: '#/weights' }] })
    return 'refused'
  }
}
