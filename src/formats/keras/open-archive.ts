import { randomUUID } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { jsonProblem } from '../../common/json-limits.ts'
import { readJson } from '../../common/json-parts.ts'
import type { WeightsFile } from '../weights-file.ts'
import { openZip, type ZipArchive, type ZipEntry } from '../zip.ts'
import { type LayerConfig, readLayerConfigs } from './layer-configs.ts'
import { openH5 } from './open-h5.ts'
import { notKeras } from './problems.ts'

const CONFIG = 'config.json'
const WEIGHTS = 'model.weights.h5'
/** The deepest networks have 10 MB. */
const MAX_CONFIG_BYTES = 33_554_432
const PART_BYTES = 4_194_304

/**
 * Opens a `.keras` archive: a zip with `config.json` and `model.weights.h5`, which is copied to `folder` and deleted
 * when it is open; its size is that of the archive at most. Nothing in the configuration is executed. Throws
 * INVALID_WEIGHTS if the archive is damaged or not supported. The caller closes it.
 */
export async function openKerasArchive(path: string, folder = dirname(path)): Promise<WeightsFile> {
  const zip = await openZip(path)
  try {
    const configs = await readConfig(zip)
    const entry = zip.entries.get(WEIGHTS)
    if (entry === undefined) throw notKeras(`the archive has no ${WEIGHTS}`)
    const copy = join(folder, `.${randomUUID()}.h5`)
    try {
      await copyEntry(zip, entry, copy)
      return await openH5(copy, { format: 'keras', configs })
    } finally {
      await rm(copy, { force: true })
    }
  } finally {
    await zip.close()
  }
}

async function readConfig(zip: ZipArchive): Promise<Map<string, LayerConfig>> {
  const entry = zip.entries.get(CONFIG)
  if (entry === undefined) throw notKeras(`the archive has no ${CONFIG}`)
  const json = await zip.readWhole(entry, MAX_CONFIG_BYTES)
  let config: unknown
  try {
    config = await readJson(json)
  } catch (error) {
    throw notKeras(`${CONFIG} ${jsonProblem(error)}`)
  }
  return readLayerConfigs(config)
}

async function copyEntry(zip: ZipArchive, entry: ZipEntry, path: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    for (let at = 0; at < entry.size; at += PART_BYTES) {
      await file.writeFile(await zip.read(entry, at, Math.min(PART_BYTES, entry.size - at)))
    }
  } finally {
    await file.close()
  }
}
