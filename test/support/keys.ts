import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hashKey, generateKey } from '../../src/http/shared/api-keys.ts'
import type { Scope } from '../../src/http/shared/scopes.ts'
import { temporaryFolder } from './service.ts'

/** A file for API_KEYS_FILE, and each key by its name. */
export async function makeKeys<N extends string>(
  scopes: Readonly<Record<N, readonly Scope[]>>,
): Promise<{ readonly file: string; readonly keys: Readonly<Record<N, string>> }> {
  const file = join(await temporaryFolder(), 'keys')
  const entries = (Object.entries(scopes) as [N, readonly Scope[]][]).map(([name, of]) => ({
    name,
    scopes: of,
    key: generateKey(),
  }))
  const lines = entries.map(({ name, scopes: of, key }) =>
    JSON.stringify({ name, sha256: hashKey(key).toString('hex'), scopes: of }),
  )
  await writeFile(file, lines.join('\n'))
  return { file, keys: Object.fromEntries(entries.map(({ name, key }) => [name, key])) as Record<N, string> }
}
