import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { buildService, readPreload, type Service } from '../../src/service.ts'
import { Client } from './client.ts'

export type Settings = Readonly<Record<string, string>>

export interface RunningService {
  readonly client: Client
  readonly service: Service
  readonly dataDir: string
  close(): Promise<void>
}

/**
 * Starts a service in this process on a free port; its children run from dist/. Without a folder it creates
 * its own. It has one engine by default, since few tests depend on the placement of models.
 */
export async function startService(settings: Settings = {}, folder?: string): Promise<RunningService> {
  const dataDir = folder ?? (await temporaryFolder())
  const config = readConfig({ LOG_LEVEL: 'silent', ENGINES: '1', DATA_DIR: dataDir, ...settings })
  const service = await buildService(config, await readPreload(config))
  const close = async (): Promise<void> => {
    await service.close()
    if (folder === undefined) await rm(dataDir, { recursive: true })
  }
  try {
    await service.app.listen({ host: '127.0.0.1', port: 0 })
    await service.started()
  } catch (error) {
    await close()
    throw error
  }
  const { port } = service.app.server.address() as AddressInfo
  return { client: new Client(`http://127.0.0.1:${String(port)}`), service, dataDir, close }
}

/** A service that has read its preload list and has not begun to build. */
export function startPreloading(path: string): Promise<RunningService> {
  return startService({ PRELOAD: path })
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'resinit-test-'))
}
