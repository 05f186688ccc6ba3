import { parseArgs } from 'node:util'
import { hashKey, generateKey, checkKeyLine, type KeyLine } from '../http/shared/api-keys.ts'

const USAGE =
  'Usage: npm run key -- --name team --scopes predict,read [--expires 2027-01-01] [--rate-limit 600/minute]'

/** Creates a key and prints it with its line for API_KEYS_FILE: `npm run key`. */
const key = generateKey()
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
    ...{ name, sha256: hashKey(key).toString('hex'), scopes: scopes.split(',') as KeyLine['scopes'] },
    ...(expires === undefined ? {} : { expires }),
    ...(rateLimit === undefined ? {} : { rate_limit: rateLimit }),
  } satisfies KeyLine
  const problem = checkKeyLine(line)
  if (problem !== undefined) throw new Error(problem)
  process.stdout.write(`The key (shown only once):\n${key}\n\n`)
  process.stdout.write(`The line for API_KEYS_FILE:\n${JSON.stringify(line)}\n`)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`)
  process.exitCode = 1
}
