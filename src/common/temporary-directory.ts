import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporaryFailed } from './storage-errors.ts'

/** As large as the graph of a deep network. */
const PROBE_BYTES = 2 ** 20

/** STORAGE_FAILED where no graph could be written, without which no child starts. */
export async function probeTemporaryDirectory(): Promise<void> {
  try {
    const folder = await mkdtemp(join(tmpdir(), 'resinit-probe-'))
    try {
      await writeFile(join(folder, 'probe'), Buffer.alloc(PROBE_BYTES))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  } catch (error) {
    throw temporaryFailed(error)
  }
}
