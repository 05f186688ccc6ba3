import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { runPart, table } from './part.mjs'
import { createModel, megabytes, predict, startService } from './service.mjs'

/**
 * What models cost in memory: what all processes of the service hold before there is one, and after each was built and has
 * computed a batch of 8. A busy machine gives the same.
 */

const BATCH = 8
const MODELS = ['resnet18', 'resnet50', 'resnet50', 'resnet50', 'resnet152', 'residual_network']

await runPart('memory', { rounds: 1 }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'resinit-memory-'))
  const service = await startService(folder, {
    ...{ MEMORY_BUDGET_BYTES: String(1e11), REQUEST_TIMEOUT_MS: '600000' },
  })
  try {
    const images = batchOf(BATCH, [224, 224, 3])
    let held = await megabytes(service, 'VmRSS')
    const rows = [['none', held.toFixed(0), '']]
    for (const [seed, architecture] of MODELS.entries()) {
      const { id } = await createModel(service, { architecture, seed })
      await predict(service, id, images, 'application/x-npy')
      const now = await megabytes(service, 'VmRSS')
      rows.push([`one ${architecture} more`, now.toFixed(0), (now - held).toFixed(0)])
      held = now
    }
    return table(['models', 'held by all processes, MB', 'more than before'], rows)
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})

/**
 * Grey images as an npy file of uint8.
 * @param {number} count
 * @param {readonly number[]} shape
 */
function batchOf(count, shape) {
  const sizes = [count, ...shape]
  const about = `{'descr': '|u1', 'fortran_order': False, 'shape': (${sizes.join(', ')}), }`
  const text = `${about.padEnd(117)}\n`
  const head = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, text.length, 0])
  const pixels = Buffer.alloc(
    sizes.reduce((product, size) => product * size, 1),
    128,
  )
  return Buffer.concat([head, Buffer.from(text, 'latin1'), pixels])
}
