import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { programOf, runProgram } from '../support/python.ts'
import { startService, temporaryFolder, type RunningService } from '../support/service.ts'

let running: RunningService
let folder: string
beforeAll(async () => {
  running = await startService()
  folder = await temporaryFolder()
})
afterAll(async () => {
  await running.close()
  await rm(folder, { recursive: true })
})

/** Rejects with all errors of the validator. */
async function validate(document: object): Promise<void> {
  const file = join(folder, 'openapi.json')
  await writeFile(file, JSON.stringify(document))
  const python = programOf('RESINIT_OPENAPI_PYTHON', 'test/interop/openapi.txt')
  await runProgram(python, ['-m', 'openapi_spec_validator', '--validation-errors', 'all', file])
}

it('GET /openapi.json is valid for openapi-spec-validator', async () => {
  const { json } = await running.client.get('/openapi.json')
  await validate(json as object)
})

it('the validator rejects a default that its schema does not allow', async () => {
  const document = (await running.client.get('/openapi.json')).json as {
    readonly components: { readonly schemas: Record<string, object> }
  }
  document.components.schemas['Architecture'] = { type: 'object', required: ['stem'], default: {} }
  await expect(validate(document)).rejects.toThrow(/'stem' is a required property/)
})
