import { multipliesBfloat16 } from '../../common/platform.ts'
import { answerCalls, startOrExit } from '../../ipc/child.ts'
import { INHERITED_FD } from '../../ipc/messages.ts'
import { SharedBatchReader } from '../shared-batch-buffer.ts'
import type { EngineInfo, EngineMethods } from '../contract.ts'
import { Models } from './model-table.ts'
import { openBackend, type Backend } from '../../tensorflow/binding.ts'
import { FLOAT, GraphWriter } from '../../tensorflow/graph.ts'
import { savedModelBytes } from '../../tensorflow/saved-model.ts'
import { Session } from '../../tensorflow/session.ts'

const { backend, models } = await startOrExit(async () => {
  const opened = await openBackend()
  await smokeTest(opened)
  return { backend: opened, models: await Models.open(opened, new SharedBatchReader(INHERITED_FD)) }
})
answerCalls<EngineMethods>(models, {
  backend: 'tensorflow',
  device: backend.device,
  library_version: backend.libraryVersion,
  multiplies_bfloat16: backend.device === 'GPU' || multipliesBfloat16(),
} satisfies EngineInfo)

/** Runs one session before the process reports ready, because a library that loads may still not compute. */
async function smokeTest(backend: Backend): Promise<void> {
  const graph = new GraphWriter()
  const sum = graph.node('AddV2', [graph.number(1), graph.number(2)], { T: FLOAT })
  const session = await Session.open(backend, savedModelBytes({ graph, signatures: {} }))
  const [values] = session.run({}, [`${sum}:0`])
  session.close()
  if (values?.[0] !== 3) throw new Error('TensorFlow returned a wrong result for 1 + 2')
}
