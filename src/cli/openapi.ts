import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../config.ts'
import { withSharedSchemas } from '../http/plugins/openapi-document.ts'
import { buildService } from '../service.ts'

/** Writes the OpenAPI document of all routes: `npm run openapi`. */
const folder = await mkdtemp(join(tmpdir(), 'resinit-openapi-'))
const service = await buildService(readConfig({ DATA_DIR: folder, LOG_LEVEL: 'silent' }))
try {
  await service.app.ready()
  await writeFile(
    new URL('../../openapi/openapi.json', import.meta.url),
    `${JSON.stringify(withSharedSchemas(service.app.swagger()), null, 2)}\n`,
  )
} finally {
  await service.close()
  await rm(folder, { recursive: true, force: true })
}
