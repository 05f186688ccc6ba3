import type { AddressInfo } from 'node:net'
import { rm } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { buildService } from '../../../src/service.ts'
import { Client } from '../../support/client.ts'
import { expectProblem } from '../../support/problems.ts'
import { temporaryFolder } from '../../support/service.ts'

it('a fault of the service is INTERNAL, and the response does not contain its message', async () => {
  const folder = await temporaryFolder()
  const service = await buildService(readConfig({ LOG_LEVEL: 'silent', ENGINES: '1', DATA_DIR: folder }))
  try {
    const schema = { operationId: 'fault', tags: ['models'], summary: 'A faulty route' }
    service.app.get('/v1/fault', { config: { scope: 'read' }, schema }, () => {
      throw new TypeError(`${folder} is not iterable`)
    })
    await service.app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = service.app.server.address() as AddressInfo
    const answer = await new Client(`http://127.0.0.1:${String(port)}`).get('/v1/fault')
    const { detail } = expectProblem(answer, {
      status: 500,
      code: 'INTERNAL',
      says: /the log has the request id/,
    })
    expect(detail).not.toContain(folder)
  } finally {
    await service.close()
    await rm(folder, { recursive: true })
  }
})
