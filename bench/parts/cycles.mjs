import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { progress, runPart, table } from '../lib/part.mjs'
import { createModel, megabytes, predict, startService } from '../lib/service.mjs'

/** Memory after repeated builds and evictions: two alternating ResNet-18 with a budget for one. */
const BOUND = 1.05

await runPart('cycles', { rounds: 100 }, async ({ rounds }) => {
  const image = await readFile('test/fixtures/flower.jpg')
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const service = await startService(folder, { MEMORY_BUDGET_BYTES: '1' })
  try {
    const ids = []
    for (const seed of [0, 1]) ids.push((await createModel(service, { architecture: 'resnet18', seed })).id)
    const step = Math.ceil(rounds / 10)
    const held = []
    for (let cycle = 1; cycle <= rounds; cycle++) {
      await predict(service, ids[cycle % 2] ?? '', image)
      if (cycle % step !== 0) continue
      const now = await megabytes(service, 'VmRSS')
      progress(`cycles, ${String(cycle)}: ${now.toFixed(0)} MB resident`)
      held.push(now)
    }
    const growth = (held.at(-1) ?? NaN) / (held[0] ?? NaN)
    if (!(growth <= BOUND)) process.exitCode = 1
    return table(
      ['', 'found', 'bound'],
      [
        [`MB resident every ${String(step)} cycles`, held.map((now) => now.toFixed(0)).join(', '), ''],
        ['last over first', growth.toFixed(3), String(BOUND)],
      ],
    )
  } finally {
    await service.stop()
    await rm(folder, { recursive: true })
  }
})
