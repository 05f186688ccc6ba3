import { answerCalls } from '../workers/child.ts'
import type { EngineInfo } from './engine.ts'
import type { EngineMethods } from './process.ts'
import { openBackend } from './tensorflow/binding.ts'
import { Models } from './models.ts'

const backend = await openBackend()
const models = new Models(backend)

answerCalls<EngineMethods>(
  {
    build: (request) => models.build(request),
    predict: (batch) => models.predict(batch),
    unload: (id) => {
      models.unload(id)
    },
  },
  {
    backend: 'tensorflow',
    device: backend.device,
    library_version: backend.libraryVersion,
  } satisfies EngineInfo,
)
