import { parseArgs } from 'node:util'
import { ServiceError } from '../common/errors.ts'
import { compareRecord } from './verify/compare-record.ts'
import { drawNetwork, type Network } from './verify/draw-network.ts'
import { fetchRecord, fetchDigests, readGiven } from './verify/read-given.ts'
import { UsageError } from './verify/usage-error.ts'

const USAGE = 'Usage: npm run -s verify -- SPEC.json [--weights FILE | --url URL]'
/** The most differences that are printed. */
const MAX_LINES = 20

/**
 * Compares a specification with a record, a weights file or a model of a running service: `npm run verify`. Exits with
 * 0 if they agree, with 1 and a line for each difference, or with 2 if nothing can be compared.
 */
try {
  const { path, weights, url } = readArguments()
  const given = await readGiven(path)
  const served = url === undefined ? undefined : await fetchRecord(url)
  const records = [given.record, served].filter((record) => record !== undefined)
  const network = await drawNetwork(given.plan, records, weights)
  if (records.length === 0 && weights === undefined) throw nothingToCompare(network)
  const differences = [
    ...network.differences,
    ...records.flatMap((record) => compareRecord(network, record)),
    ...(url !== undefined && served?.weights_sha256 !== network.digest
      ? await compareDigests(network, url)
      : []),
  ]
  for (const line of differences.slice(0, MAX_LINES)) process.stdout.write(`${line}\n`)
  const more = differences.length - MAX_LINES
  if (more > 0) process.stdout.write(`and ${String(more)} more differences\n`)
  if (differences.length === 0) process.stdout.write(`${describe(network)}\n`)
  process.exitCode = differences.length === 0 ? 0 : 1
} catch (error) {
  if (!(error instanceof UsageError || error instanceof ServiceError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}

function readArguments(): { path: string; weights: string | undefined; url: string | undefined } {
  let parsed
  try {
    parsed = parseArgs({
      options: { weights: { type: 'string' }, url: { type: 'string' } },
      allowPositionals: true,
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${USAGE}`)
  }
  const { positionals, values } = parsed
  const [path] = positionals
  if (path === undefined || positionals.length > 1)
    throw new UsageError(`give one file with a specification or a record\n${USAGE}`)
  if (values.weights !== undefined && values.url !== undefined)
    throw new UsageError(`give --weights or --url, not both\n${USAGE}`)
  return { path, weights: values.weights, url: values.url }
}

/** The parameters whose digests differ from those of a running service. */
async function compareDigests({ tensors }: Network, url: string): Promise<string[]> {
  const served = await fetchDigests(url)
  return tensors.flatMap(({ name, digest }) => {
    const other = served.get(name)
    return other === undefined || other === digest ? [] : [`${name}: expected ${digest}, got ${other}`]
  })
}

function nothingToCompare({ id, digest }: Network): UsageError {
  return new UsageError(
    `id ${id}\nweights_sha256 ${digest}\nThere is nothing to compare: give a record instead of the request, or --weights, or --url.`,
  )
}

function describe({ id, digest, tensors }: Network): string {
  const trainable = tensors.filter((tensor) => tensor.trainable)
  const values = trainable.reduce((sum, { size }) => sum + size, 0).toLocaleString('en')
  return `agrees: id ${id}, weights_sha256 ${digest}, ${String(trainable.length)} parameters of ${values} values`
}
