import { parseArgs } from 'node:util'
import { hashKey, generateKey, checkKeyLine, type KeyLine } from '../http/shared/api-keys.ts'

const USAGE =
  'Usage: npm run key -- --name team --scopes predict,read [--expires 2027-01-01] [--rate-limit 600/minute]'

/** Makes a key, prints it this once, and the line of API_KEYS_FILE that lets its holder in: `npm run key`. */
const made = generateKey()
try {
  const {
    name,
    scopes,
    expires,
    'rate-limit': rateLimit,
  } = parseArgs({
    options: {
      ...{ name: { type: 'string' }, scopes: { type: 'string' } },
      ...{ expires: { type: 'string' }, 'rate-limit': { type: 'string' } },
    },
  }).values
  if (name === undefined || scopes === undefined) throw new Error('--name and --scopes are required')
  const line = {
    ...{ name, sha256: hashKey(made).toString('hex'), scopes: scopes.split(',') as KeyLine['scopes'] },
    ...(expires === undefined ? {} : { expires }),
    ...(rateLimit === undefined ? {} : { rate_limit: rateLimit }),
  } satisfies KeyLine
  const problem = checkKeyLine(line)
  if (problem !== undefined) throw new Error(problem)
  process.stdout.write(`The key, which is shown this once:\n${made}\n\n`)
  process.stdout.write(`Its line for API_KEYS_FILE:\n${JSON.stringify(line)}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`)
  process.exitCode = 1
}
