import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { temporaryFailed } from './storage-errors.ts'

/** The size of the graph of a deep network. */
const PROBE_BYTES = 2 ** 20

/** Rejects with STORAGE_FAILED if TMPDIR has no room for a graph, which every engine writes at its start. */
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
