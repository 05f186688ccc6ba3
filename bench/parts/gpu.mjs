import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { pino } from 'pino'
import { machine } from '../lib/machine.mjs'

/**
 * The same ResNet-50 on a GPU and on the CPU; `deploy/gpu-check.sh` runs it. Fails if the engine does not
 * compute on the GPU or its results differ.
 */
const PIXELS = 224 * 224 * 3
const BATCH = 32
const ROUNDS = 10
/** Share of the largest logit. GPUs multiply float32 with a mantissa of ten bits (TF32). */
const TOLERANCE = 0.01
/** Size of ResNet-50's variables in MiB. */
const LEAST_MEMORY = 97

// Compiled modules with the types of their sources, so that type checks need no build.
const built = (/** @type {string} */ name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../../src/engine/contract.ts')} */
const { outputOf } = await built('engine/contract')
/** @type {typeof import('../../src/engine/client/engine-process.ts')} */
const { startEngine } = await built('engine/client/engine-process')
/** @type {typeof import('../../src/common/platform.ts')} */
const { gpus } = await built('common/platform')
/** @type {typeof import('../../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

/** MiB in use on all GPUs by the driver's count, since it does not see process ids inside a container. */
function gpuMemory() {
  const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits']
  const lines = execFileSync('nvidia-smi', query, { encoding: 'utf8' }).trim().split('\n')
  return lines.reduce((sum, line) => sum + Number(line), 0)
}

const planned = (/** @type {'float32' | 'bfloat16'} */ precision) => {
  const request = { architecture: 'resnet50', initializers: { kernel: 'he_normal' }, precision }
  const { id, specification } = planRequest(request, Number.MAX_SAFE_INTEGER)
  return { id, specification }
}

/** @param {string} gpu CUDA_VISIBLE_DEVICES; empty for the CPU. */
async function measure(gpu) {
  const before = gpu === '' ? 0 : gpuMemory()
  const engine = startEngine({
    logger: pino({ level: 'silent' }),
    gpu,
    onLost: () => undefined,
    timeoutMs: 600_000,
  })
  try {
    const { device } = await engine.info()
    const values = Uint8Array.from({ length: BATCH * PIXELS }, (_, index) => (index * 7919) % 251)
    const plan = planned('float32')
    const { seal } = await engine.build(plan)
    /** @type {import('../../src/engine/contract.ts').Batch} */
    const batch = { id: plan.id, count: BATCH, values, k: 1, vectors: ['logits'] }
    const logits = outputOf(await engine.predict(batch), 'logits')
    const memory = gpu === '' ? 0 : gpuMemory() - before
    /** @type {Record<string, number>} */
    const perSecond = {}
    for (const precision of /** @type {const} */ (['float32', 'bfloat16'])) {
      const { id, specification } = planned(precision)
      await engine.build({ id, specification })
      let ms = Infinity
      for (let round = 0; round < (gpu === '' ? 2 : ROUNDS); round++)
        ms = Math.min(ms, (await engine.predict({ ...batch, id })).computeMs)
      perSecond[precision] = (1000 * BATCH) / ms
    }
    return { device, seal, logits, memory, perSecond }
  } finally {
    await engine.close()
  }
}

const [gpu] = gpus()
assert.ok(gpu !== undefined, 'no GPU is visible to this process')
console.log(machine())
const onGpu = await measure(gpu)
const onCpu = await measure('')
const largest = Math.max(...onCpu.logits.map(Math.abs))
const difference =
  Math.max(...onCpu.logits.map((logit, i) => Math.abs(logit - (onGpu.logits[i] ?? 0)))) / largest
console.log(`device: ${onGpu.device}; memory used on it: ${String(onGpu.memory)} MiB`)
console.log(`seals: ${onGpu.seal === onCpu.seal ? 'equal' : 'different'} (${onCpu.seal})`)
console.log(`largest difference of a logit: ${(100 * difference).toFixed(3)} % of the largest`)
for (const [device, { perSecond }] of Object.entries({ GPU: onGpu, CPU: onCpu })) {
  const rates = Object.entries(perSecond).map(([precision, rate]) => `${precision} ${rate.toFixed(0)}`)
  console.log(`${device}: images per second at batch ${String(BATCH)}: ${rates.join(', ')}`)
}
assert.equal(onGpu.device, 'GPU', 'the engine does not compute on the GPU; run "npm run doctor"')
assert.ok(onGpu.memory >= LEAST_MEMORY, 'the driver reports no memory for the model')
assert.equal(onGpu.seal, onCpu.seal, 'the weights differ from those on the CPU')
assert.ok(difference <= TOLERANCE, 'the logits differ from those on the CPU')
console.log('the engine computes on the GPU with the same results')
