import { isRecord } from '../common/canonical-json.ts'
import { invalidWeights } from '../common/errors.ts'
import { jsonProblem } from '../common/json-limits.ts'
import { readJson } from '../common/json-parts.ts'
import { openRegularFile } from './regular-file.ts'
import type { WeightsPart } from './weights-file.ts'

/** Limit against forged files. The model.json of a ResNet-152 has about 1 MB. */
const MAX_JSON_BYTES = 16_777_216

/**
 * Reads a JSON file of limited size, depth and number of fields. `what` describes it in errors. Throws INVALID_WEIGHTS.
 */
export async function readJsonFile({ path }: WeightsPart, what: string): Promise<unknown> {
  const invalid = (reason: string) => invalidWeights(`cannot be read: ${reason}`)
  const file = await openRegularFile(path, invalid)
  try {
    if (file.size > MAX_JSON_BYTES)
      throw invalid(`${what} has ${String(file.size)} bytes; at most ${String(MAX_JSON_BYTES)} are allowed`)
    const json = await file.read(0, file.size)
    try {
      return await readJson(json)
    } catch (error) {
      throw invalid(`${what} ${jsonProblem(error)}`)
    }
  } finally {
    await file.close()
  }
}

/** The value as a record if it is an object. */
export function jsonRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return isRecord(value) ? value : undefined
}
