import type { WeightsFile, WeightsPart } from '../../formats/weights-file.ts'
import { openWeightsFile } from '../../formats/open-weights.ts'
import { answerCalls } from '../../ipc/child.ts'
import type { WeightsReaderMethods } from '../reader-contract.ts'
import { convertWeights } from './convert-weights.ts'

// SIGKILL, because a parser may block the event loop.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

answerCalls<WeightsReaderMethods>(
  {
    describe: (parts) =>
      withFile(parts, ({ format, tensors, metadata }) => ({
        format,
        tensors: [...tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
        metadata,
      })),
    convert: (parts, tensors, target, job) =>
      withFile(parts, (file) => convertWeights(file, tensors, target, job)),
  },
  null,
)

async function withFile<R>(
  parts: readonly WeightsPart[],
  use: (file: WeightsFile) => R | Promise<R>,
): Promise<R> {
  const file = await openWeightsFile(parts)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}
