import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Paths in the staging folder of a data folder; each service has its own folder in it. */
export async function stagedIn(dataDir: string): Promise<string[]> {
  const staging = join(dataDir, 'staging')
  const owners = await readdir(staging)
  const inside = await Promise.all(
    owners.map(async (owner) =>
      (await readdir(join(staging, owner))).map((name) => join(staging, owner, name)),
    ),
  )
  return inside.flat()
}
