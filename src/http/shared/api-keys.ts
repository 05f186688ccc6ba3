import { createHash, randomBytes } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { RATE } from '../../config.ts'
import { parseJson } from '../../common/json-limits.ts'
import { closed } from '../../common/schema.ts'
import { checker } from '../../common/validation.ts'
import { parseRate, type Rate } from './rates.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** A key of API_KEYS_FILE. Only its digest is stored. */
export interface Key {
  readonly name: string
  /** SHA-256 of the key. 192 random bits need no slow hash. */
  readonly sha256: Buffer
  readonly scopes: ReadonlySet<Scope>
  /** Unix time in ms. */
  readonly expires: number
  /** Overrides RATE_LIMIT: undefined without `rate_limit`, null for `off` (no limit). */
  readonly rate: Rate | null | undefined
}

const KEY_BYTES = 24
/** Every request is compared with every key. */
const MAX_KEYS = 1000
const DAY = /^\d{4}-\d{2}-\d{2}$/

const Line = closed({
  name: Type.String({ pattern: '^[A-Za-z0-9._-]{1,100}$', examples: ['team-1'] }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$', examples: ['64 hexadecimal digits'] }),
  scopes: Type.Array(Type.Enum(SCOPES), { minItems: 1, maxItems: SCOPES.length }),
  expires: Type.Optional(
    Type.String({
      pattern: '^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2}))?$',
      examples: ['2027-01-01', '2027-01-01T00:00:00Z'],
    }),
  ),
  rate_limit: Type.Optional(Type.String(RATE)),
})
export type KeyLine = Static<typeof Line>

const check = checker(Line)

/** A random key, safe in headers and URLs. */
export function generateKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

/** Digests have a fixed length, so a comparison does not reveal the length of a key. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/** Returns the problem of a line, if any. The message contains no value, because a misplaced value may be a key. */
export function checkKeyLine(line: unknown): string | undefined {
  const [error] = check(line, '')
  if (error) return `${error.pointer.slice(1) || 'it'} ${error.detail.replace(/, got .*$/s, '')}`
  const { expires } = line as KeyLine
  return expires !== undefined && !isDate(expires) ? 'expires is not a calendar date' : undefined
}

/**
 * Parses API_KEYS_FILE: one JSON object per line, as `npm run key` prints it. Empty lines and comments (#) are skipped.
 * Errors name line and field.
 */
export function readKeys(text: string): readonly Key[] {
  const keys = text.split('\n').flatMap((given, index) => {
    const at = `line ${String(index + 1)}`
    if (/^\s*(#|$)/.test(given)) return []
    let line: unknown
    try {
      line = parseJson(Buffer.from(given))
    } catch {
      throw new Error(`${at} is not a JSON object with each field once; write it as "npm run key" prints it`)
    }
    const problem = checkKeyLine(line)
    if (problem !== undefined) throw new Error(`${at}: ${problem}`)
    return [{ at, key: parseKey(line as KeyLine) }]
  })
  const seen = new Map<string, string>()
  for (const { at, key } of keys) {
    const digest = key.sha256.toString('hex')
    const first = seen.get(digest)
    if (first !== undefined) throw new Error(`${at}: sha256 is the same as on ${first}; write every key once`)
    seen.set(digest, at)
  }
  if (keys.length === 0) throw new Error('it has no key; "npm run key" creates one')
  if (keys.length > MAX_KEYS) throw new Error(`it has more than ${String(MAX_KEYS)} keys; remove old ones`)
  return keys.map(({ key }) => key)
}

/** A key with all scopes that never expires. */
export function createFullKey(name: string, key: string): Key {
  return {
    ...{ name, sha256: hashKey(key), scopes: new Set(SCOPES) },
    ...{ expires: Infinity, rate: undefined },
  }
}

function parseKey({ name, sha256, scopes, expires, rate_limit }: KeyLine): Key {
  return {
    name,
    sha256: Buffer.from(sha256, 'hex'),
    scopes: new Set(scopes),
    // A date without a time is its start in UTC.
    expires: expires === undefined ? Infinity : Date.parse(expires),
    rate: rate_limit === undefined ? undefined : (parseRate(rate_limit) ?? null),
  }
}

/** Date.parse accepts February 30 as a day of March. */
function isDate(text: string): boolean {
  const day = text.slice(0, 10)
  const parsed = Date.parse(DAY.test(text) ? text : `${day}T00:00:00Z`)
  return (
    !Number.isNaN(Date.parse(text)) && !Number.isNaN(parsed) && new Date(parsed).toISOString().startsWith(day)
  )
}
