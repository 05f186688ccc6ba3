import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machine } from './machine.mjs'
import { call, megabytes, startService } from './service.mjs'

/** Whether building and evicting leaves something behind: with room for one network, two ResNet-18 in turns. */
const CYCLES = 100
const COMPARED = 10
const BOUND = 1.05

const image = await readFile('test/fixtures/flower.jpg')
const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
const service = await startService(folder, { MEMORY_BUDGET_BYTES: '1' })
try {
  console.log(machine())
  const ids = []
  for (const seed of [0, 1]) {
    const body = JSON.stringify({ architecture: 'resnet18', seed })
    const { id } = await call(service, '', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    ids.push(id)
  }
  let compared = 0
  let held = 0
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    await call(service, `/${ids[cycle % 2] ?? ''}/predict`, {
      method: 'POST',
      headers: { 'content-type': 'image/jpeg' },
      body: image,
    })
    held = await megabytes(service, 'VmRSS')
    if (cycle === COMPARED) compared = held
    if (cycle % COMPARED === 0)
      console.log(`cycle ${String(cycle).padStart(3)}: ${held.toFixed(0)} MB resident`)
  }
  console.log(`${(held / compared).toFixed(3)} of cycle ${String(COMPARED)}; bound ${String(BOUND)}`)
  if (held / compared > BOUND) process.exitCode = 1
} finally {
  await service.stop()
  await rm(folder, { recursive: true })
}
