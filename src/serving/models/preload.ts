import { readdir, realpath } from 'node:fs/promises'
import { basename, extname, join, resolve, sep } from 'node:path'
import { fieldError } from '../../common/errors.ts'
import { parser } from '../../common/validation.ts'
import type { WeightsPart } from '../../formats/weights-file.ts'
import { planRequest } from '../../network/plan.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import { importWeights, type ImportContext, type WeightsImport } from './import-weights.ts'
import { WeightsSpecification } from './weights-specification.ts'
import type { PartialSpecification } from '../../network/merge-specifications.ts'
import { assertName } from './names.ts'
import {
  baseName,
  entryError,
  isFolder,
  MAX_SPECIFICATION_BYTES,
  openEntry,
  readEntry,
  withFile,
} from './preload-entries.ts'
import { CONFIG, findModelWeights, isWeightsFile, PREPROCESSOR, SPECIFICATION } from './preload-weights.ts'
import type { Registry } from './registry.ts'

/** A model of PRELOAD. */
export interface Preloaded {
  readonly name: string
  /** The file or folder it was read from, for error messages. */
  readonly file: string
  /** A specification, or weights with what describes them. */
  readonly source: { readonly request: SpecificationRequest } | { readonly weights: WeightsImport }
}

interface Folder {
  readonly path: string
  /** Sorted by name. */
  readonly files: readonly string[]
  readonly isRoot: boolean
}

const parseComplete = parser(SpecificationRequest)
const parsePartial = parser(WeightsSpecification)

/**
 * Reads a file, or the files of a folder and its subfolders. A folder of one model (`findModelWeights`) is named like the
 * folder, unless its `spec.json` has a name. In other folders `*.json` contains a specification with a `name`, or an array
 * of them, and a weights file belongs to the specification in the same folder (with the same file name, or the only
 * one), or is a model named like the file. Skips entries that begin with a dot: ConfigMaps keep their versions there and
 * link to them. Builds nothing. Throws an error that names the file and the invalid field.
 */
export async function readPreload(path: string, maxParameters: number): Promise<Preloaded[]> {
  const found = new Map<string, Preloaded>()
  const folders: Folder[] = (await isFolder(path))
    ? await listFolders(path)
    : [{ path, files: [path], isRoot: true }]
  const models: string[] = []
  for (const folder of folders) {
    // What else is in the folder of a model belongs to it.
    if (models.some((model) => folder.path.startsWith(model + sep))) continue
    const weights = await findModelWeights(folder.path, folder.files, folder.isRoot)
    if (weights !== undefined) models.push(folder.path)
    const preloaded =
      weights === undefined
        ? await readFolder(folder.files, maxParameters)
        : [await readModelFolder(folder, weights, maxParameters)]
    for (const one of preloaded) {
      const other = found.get(one.name)
      if (other !== undefined)
        throw entryError(one.file, `#/name ${one.name} is also in ${other.file}; names must be unique`)
      found.set(one.name, one)
    }
  }
  if (found.size === 0) throw new Error('it contains no *.json with a specification and no weights file')
  return [...found.values()]
}

/** Creates the models one after another, each ready before the next. Moves names that belong to other models. */
export async function preload(
  models: readonly Preloaded[],
  context: ImportContext & { readonly registry: Registry; readonly ready: (name: string) => void },
): Promise<void> {
  const { registry, maxParameters, ready } = context
  for (const { name, file, source } of models) {
    if ('weights' in source) await assertWeights(source.weights.parts, maxParameters)
    try {
      const given =
        'weights' in source
          ? await importWeights(source.weights, context)
          : { plan: planRequest(source.request, maxParameters) }
      await (
        await registry.create(given.plan, { ...given, name, moves: true })
      ).ready
    } catch (error) {
      throw entryError(file, error instanceof Error ? error.message : String(error), error)
    }
    ready(name)
  }
}

/** Weights are read after the start of the engine, but an unusable file ends the start before that. */
async function assertWeights(parts: WeightsImport['parts'], maxParameters: number): Promise<void> {
  for (const { path } of parts)
    await (await openEntry(path, 4 * maxParameters + MAX_SPECIFICATION_BYTES)).close()
}

/** The files of a folder and of each subfolder. Follows links; lists every target once. */
async function listFolders(path: string, seen = new Set<string>(), isRoot = true): Promise<Folder[]> {
  const files: string[] = []
  const subfolders: Folder[] = []
  for (const name of (await readdir(path)).sort()) {
    if (name.startsWith('.')) continue
    const one = join(path, name)
    const real = await realpath(one).catch(() => one)
    if (seen.has(real)) continue
    seen.add(real)
    if (await isFolder(one)) subfolders.push(...(await listFolders(one, seen, false)))
    else files.push(one)
  }
  return [{ path, files, isRoot }, ...subfolders]
}

async function readModelFolder(
  { path, files }: Folder,
  weightsFiles: readonly string[],
  maxParameters: number,
): Promise<Preloaded> {
  const read = async (name: string): Promise<unknown> => {
    const file = files.find((one) => basename(one) === name)
    return file === undefined ? undefined : readEntry(file)
  }
  const parts = toParts(weightsFiles)
  await assertWeights(parts, maxParameters)
  const given = await read(SPECIFICATION)
  const { name = basename(resolve(path)), specification } = withFile(join(path, SPECIFICATION), () =>
    parseNamed(given ?? {}, '#'),
  )
  withFile(path, () => {
    assertName(name, 'its name')
  })
  const [config, preprocessorConfig] = [await read(CONFIG), await read(PREPROCESSOR)]
  return { name, file: path, source: { weights: { parts, specification, config, preprocessorConfig } } }
}

async function readFolder(files: readonly string[], maxParameters: number): Promise<Preloaded[]> {
  const specifications = files.filter((file) => extname(file) === '.json')
  const weights = files.filter(isWeightsFile)
  const findWeights = (file: string): string | undefined =>
    weights.find((one) => baseName(one) === baseName(file)) ??
    (specifications.length === 1 && weights.length === 1 ? weights[0] : undefined)
  await assertWeights(toParts(weights), maxParameters)
  const models: Preloaded[] = []
  for (const file of specifications)
    models.push(...(await readSpecifications(file, findWeights(file), maxParameters)))
  const used = new Set(specifications.map(findWeights))
  for (const file of weights.filter((one) => !used.has(one))) {
    const name = baseName(file)
    withFile(file, () => {
      assertName(name, 'its name')
    })
    models.push({ name, file, source: { weights: { parts: toParts([file]) } } })
  }
  return models
}

async function readSpecifications(
  file: string,
  weightsFile: string | undefined,
  maxParameters: number,
): Promise<Preloaded[]> {
  const given = await readEntry(file)
  return withFile(file, () => {
    const isList = Array.isArray(given)
    if (isList && weightsFile !== undefined)
      throw fieldError('#', 'must be one specification, because it has a weights file')
    return (isList ? (given as unknown[]) : [given]).map((one, index) => {
      const pointer = isList ? `#/${String(index)}` : '#'
      const { name, specification } = parseNamed(one, pointer)
      if (name === undefined) throw fieldError(`${pointer}/name`, 'is required: the name of the model')
      if (weightsFile !== undefined)
        return { name, file, source: { weights: { parts: toParts([weightsFile]), specification } } }
      const request = parseComplete(specification, pointer)
      planRequest(request, maxParameters)
      return { name, file, source: { request } }
    })
  })
}

/** Parses a specification with a name. With weights it may lack any field. */
function parseNamed(
  given: unknown,
  pointer: string,
): { readonly name: string | undefined; readonly specification: PartialSpecification } {
  const { name, ...specification } = { ...(given as { readonly name?: unknown } | null) }
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given)
  const parsed = parsePartial(isObject ? specification : given, pointer)
  if (name === undefined) return { name, specification: parsed }
  if (typeof name !== 'string') throw fieldError(`${pointer}/name`, 'must be text: the name of the model')
  assertName(name, `${pointer}/name`)
  return { name, specification: parsed }
}

function toParts(files: readonly string[]): WeightsPart[] {
  return files.map((path) => ({ name: basename(path), path }))
}
