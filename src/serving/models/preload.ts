import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Analysis } from '../../analysis/contract.ts'
import { fieldError, ServiceError } from '../../common/errors.ts'
import { jsonProblem, parseJson } from '../../common/json-limits.ts'
import { planRequest, type Plan } from '../../network/plan.ts'
import { SpecificationRequest } from '../../network/specification.ts'
import { parser } from '../../common/validation.ts'
import { errnoCode, openFile } from './files.ts'
import { UnusableFile } from '../../common/storage-errors.ts'
import { importWeights } from './import-weights.ts'
import { assertName } from './names.ts'
import type { Registry } from './registry.ts'
import type { Store } from './store.ts'

/** A model of PRELOAD. */
export interface Preloaded {
  readonly name: string
  /** The file it was read from, for error messages. */
  readonly file: string
  /** Undefined if the metadata of the weights file has the specification. */
  readonly request: SpecificationRequest | undefined
  readonly weightsFile: string | undefined
}

const parseSpecification = parser(SpecificationRequest)
/** Larger than any specification, and than a weights file without its parameters. */
const MAX_SPECIFICATION_BYTES = 2 ** 26

/**
 * Reads a file, or the files of a folder and its subfolders. `*.json` contains a specification with a `name`, or an array
 * of them. `*.safetensors` contains the weights of the specification in the same folder (with the same file name, or the
 * only one), or a complete model named like the file. Skips entries that begin with a dot: ConfigMaps keep their versions
 * there and link to them. Builds nothing. Throws an error that names the file and the invalid field.
 */
export async function readPreload(path: string, maxParameters: number): Promise<Preloaded[]> {
  const found = new Map<string, Preloaded>()
  const folders = (await statEntry(path)).isDirectory() ? await listFolders(path) : [[path]]
  for (const files of folders) {
    for (const preloaded of await readFolder(files, maxParameters)) {
      const other = found.get(preloaded.name)
      if (other !== undefined)
        throw entryError(
          preloaded.file,
          `#/name ${preloaded.name} is also in ${other.file}; names must be unique`,
        )
      found.set(preloaded.name, preloaded)
    }
  }
  if (found.size === 0) throw new Error('it contains no *.json with a specification and no *.safetensors')
  return [...found.values()]
}

/** Creates the models one after another, each ready before the next. Moves names that belong to other models. */
export async function preload(
  models: readonly Preloaded[],
  context: {
    readonly registry: Registry
    readonly store: Store
    readonly analysis: Analysis
    readonly maxParameters: number
    readonly ready: (name: string) => void
  },
): Promise<void> {
  for (const { name, file, request, weightsFile } of models) {
    try {
      const given =
        weightsFile === undefined
          ? { plan: planEntry(request, context.maxParameters) }
          : await importWeights(await openWeights(weightsFile, context.maxParameters), request, context)
      const { ready } = await context.registry.create(given.plan, { ...given, name, moves: true })
      await ready
    } catch (error) {
      throw entryError(file, error instanceof Error ? error.message : String(error), error)
    }
    context.ready(name)
  }
}

async function openWeights(path: string, maxParameters: number): Promise<Readable> {
  const maxBytes = maxWeightsBytes(maxParameters)
  const file = await openFile(path, maxBytes)
  return file.createReadStream({ end: maxBytes })
}

function maxWeightsBytes(maxParameters: number): number {
  return 4 * maxParameters + MAX_SPECIFICATION_BYTES
}

function planEntry(request: SpecificationRequest | undefined, maxParameters: number): Plan {
  if (request === undefined) throw new TypeError('neither a specification nor weights')
  return planRequest(request, maxParameters)
}

/** The files of a folder and of each subfolder, sorted by name. Follows links; lists every target once. */
async function listFolders(path: string, seen = new Set<string>()): Promise<string[][]> {
  const files: string[] = []
  const subfolders: string[][] = []
  for (const name of (await readdir(path)).sort()) {
    if (name.startsWith('.')) continue
    const one = join(path, name)
    const real = await realpath(one).catch(() => one)
    if (seen.has(real)) continue
    seen.add(real)
    if ((await statEntry(one)).isDirectory()) subfolders.push(...(await listFolders(one, seen)))
    else files.push(one)
  }
  return [files, ...subfolders]
}

async function readFolder(files: readonly string[], maxParameters: number): Promise<Preloaded[]> {
  const specifications = files.filter((file) => extname(file) === '.json')
  const weights = files.filter((file) => extname(file) === '.safetensors')
  const findWeights = (file: string): string | undefined =>
    weights.find((one) => baseName(one) === baseName(file)) ??
    (specifications.length === 1 && weights.length === 1 ? weights[0] : undefined)
  // Weights are read after the start of the engine, but an unusable file ends the start here.
  for (const file of weights) await (await openEntry(file, maxWeightsBytes(maxParameters))).close()
  const models: Preloaded[] = []
  for (const file of specifications)
    models.push(...(await readSpecifications(file, findWeights(file), maxParameters)))
  const used = new Set(models.map(({ weightsFile }) => weightsFile))
  for (const file of weights.filter((one) => !used.has(one))) {
    const name = baseName(file)
    withFile(file, () => {
      assertName(name, 'its name')
    })
    models.push({ name, file, request: undefined, weightsFile: file })
  }
  return models
}

async function readSpecifications(
  file: string,
  weightsFile: string | undefined,
  maxParameters: number,
): Promise<Preloaded[]> {
  const handle = await openEntry(file, MAX_SPECIFICATION_BYTES)
  const text = await handle.readFile().finally(() => handle.close())
  return withFile(file, () => {
    const given: unknown = readJson(text)
    const isList = Array.isArray(given)
    if (isList && weightsFile !== undefined)
      throw fieldError('#', 'must be one specification, because it has a weights file')
    return (isList ? (given as unknown[]) : [given]).map((one, index) => {
      const pointer = isList ? `#/${String(index)}` : '#'
      const { name, ...specification } = { ...(one as { readonly name?: unknown } | null) }
      const request = parseSpecification(
        typeof one === 'object' && one !== null && !Array.isArray(one) ? specification : one,
        pointer,
      )
      if (typeof name !== 'string') throw fieldError(`${pointer}/name`, 'is required: the name of the model')
      assertName(name, `${pointer}/name`)
      planRequest(request, maxParameters)
      return { name, file, request, weightsFile }
    })
  })
}

function readJson(text: Buffer): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    const problem = jsonProblem(error)
    const message = error instanceof Error ? error.message : String(error)
    // The message of JSON.parse contains the position.
    throw new ServiceError('MALFORMED_REQUEST', problem === message ? problem : `${problem}: ${message}`)
  }
}

function withFile<R>(file: string, check: () => R): R {
  try {
    return check()
  } catch (error) {
    if (error instanceof ServiceError) throw entryError(file, error.message, error)
    throw error
  }
}

function entryError(file: string, detail: string, cause?: unknown): Error {
  return new Error(`${file}: ${detail}`, { cause })
}

async function statEntry(path: string) {
  return describeErrors(path, () => stat(path))
}

function openEntry(path: string, maxBytes: number) {
  return describeErrors(path, () => openFile(path, maxBytes))
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'this user may not read it',
  ELOOP: 'it is a symbolic link to itself',
}

async function describeErrors<R>(path: string, read: () => Promise<R>): Promise<R> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof UnusableFile) throw entryError(path, error.message, error)
    const reason = REASONS[errnoCode(error) ?? '']
    throw reason === undefined ? error : entryError(path, reason, error)
  }
}

function baseName(file: string): string {
  return basename(file, extname(file))
}
