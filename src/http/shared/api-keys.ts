import { createHash, randomBytes } from 'node:crypto'
import Type, { type Static } from 'typebox'
import { RATE } from '../../config.ts'
import { parseJson } from '../../common/json-limits.ts'
import { closed } from '../../common/schema.ts'
import { checker } from '../../common/validation.ts'
import { parseRate, type Rate } from './rates.ts'
import { SCOPES, type Scope } from './scopes.ts'

/** Who calls: a key's holder and what the key is for. The key itself is nowhere. */
export interface Key {
  readonly name: string
  /** Of the key. 192 random bits need no slow hash. */
  readonly sha256: Buffer
  readonly scopes: ReadonlySet<Scope>
  /** From then on it is refused, in ms since 1970. */
  readonly expires: number
  /** Instead of RATE_LIMIT; null for none. */
  readonly rate: Rate | null | undefined
}

const KEY_BYTES = 24
/** A key is compared with all there are. */
const MOST_KEYS = 1000
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

/** A key nobody can guess, safe in headers and URLs. */
export function newKey(): string {
  return randomBytes(KEY_BYTES).toString('base64url')
}

/** Digests have one length, so comparing them tells nothing about the key's. */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key).digest()
}

/** What is wrong with a line, or nothing. No value is in it: it may be a key that was written in the wrong place. */
export function problemOfLine(line: unknown): string | undefined {
  const [error] = check(line, '')
  if (error) return `${error.pointer.slice(1) || 'it'} ${error.detail.replace(/, got .*$/s, '')}`
  const { expires } = line as KeyLine
  return expires !== undefined && !isDate(expires) ? 'expires is no day of the calendar' : undefined
}

/**
 * The keys of a file: a JSON object a line, as `npm run key` prints them; empty lines and those that begin with # are
 * skipped. Throws an Error whose sentence names line and field.
 */
export function readKeys(text: string): readonly Key[] {
  const keys = text.split('\n').flatMap((given, index) => {
    const at = `line ${String(index + 1)}`
    if (/^\s*(#|$)/.test(given)) return []
    let line: unknown
    try {
      line = parseJson(Buffer.from(given))
    } catch {
      throw new Error(
        `${at} is not a JSON object that has each field once; write it as "npm run key" prints it`,
      )
    }
    const problem = problemOfLine(line)
    if (problem !== undefined) throw new Error(`${at}: ${problem}`)
    return [{ at, key: parseKey(line as KeyLine) }]
  })
  const seen = new Map<string, string>()
  for (const { at, key } of keys) {
    const digest = key.sha256.toString('hex')
    const first = seen.get(digest)
    if (first !== undefined) throw new Error(`${at}: sha256 is that of ${first}; give every key one line`)
    seen.set(digest, at)
  }
  if (keys.length === 0) throw new Error('it has no key; "npm run key" makes one')
  if (keys.length > MOST_KEYS) throw new Error(`it has more than ${String(MOST_KEYS)} keys; remove old ones`)
  return keys.map(({ key }) => key)
}

/** A key for everything that never expires. */
export function keyForAll(name: string, key: string): Key {
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
    // A day alone is its beginning in UTC.
    expires: expires === undefined ? Infinity : Date.parse(expires),
    rate: rate_limit === undefined ? undefined : (parseRate(rate_limit) ?? null),
  }
}

/** JavaScript takes February 30 for a day of March. */
function isDate(text: string): boolean {
  const day = text.slice(0, 10)
  const parsed = Date.parse(DAY.test(text) ? text : `${day}T00:00:00Z`)
  return (
    !Number.isNaN(Date.parse(text)) && !Number.isNaN(parsed) && new Date(parsed).toISOString().startsWith(day)
  )
}
