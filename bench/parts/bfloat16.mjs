import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'

// Compiled modules with the types of their sources, so that type checks need no build.
const built = (/** @type {string} */ name) => import(new URL(`../../dist/${name}.js`, import.meta.url).href)
/** @type {typeof import('../../src/engine/contract.ts')} */
const { outputOf } = await built('engine/contract')
/** @type {typeof import('../../src/engine/client/engine-process.ts')} */
const { startEngine } = await built('engine/client/engine-process')
/** @type {typeof import('../../src/images/worker/decode.ts')} */
const { decodeImage } = await built('images/worker/decode')
/** @type {typeof import('../../src/images/decoder-contract.ts')} */
const { detectFormat } = await built('images/decoder-contract')
/** @type {typeof import('../../src/network/plan.ts')} */
const { planRequest } = await built('network/plan')

/**
 * Difference between bfloat16 and float32 on photographs, and its speed-up: ResNet-50 with he_normal, the
 * same seed in both. Usage: node bench/parts/bfloat16.mjs FOLDER, with JPEG, PNG or WebP images in it.
 * ONEDNN_MAX_CPU_ISA=AVX512_CORE simulates a processor without bfloat16.
 */
const BATCH = 8
const ROUNDS = 5
const shape = [224, 224, 3]

const folder = process.argv[2]
if (folder === undefined) throw new Error('usage: node bench/parts/bfloat16.mjs FOLDER_OF_PHOTOGRAPHS')
const files = (await readdir(folder)).filter((name) => /\.(jpe?g|png|webp)$/i.test(name)).toSorted()
/** @type {Uint8Array[]} */
const images = []
for (const file of files) {
  const bytes = await readFile(join(folder, file))
  images.push(
    (
      await decodeImage(bytes, detectFormat(bytes) ?? 'jpeg', {
        shape,
        fit: 'cover',
        resize: null,
        maxPixels: 1e8,
        maxBytes: 1e9,
      })
    ).pixels,
  )
}

const engine = startEngine({ logger: pino({ level: 'silent' }), onLost: () => undefined, timeoutMs: 600_000 })
try {
  const { library_version, multiplies_bfloat16 } = await engine.info()
  console.log(`TensorFlow ${library_version}; bfloat16 in hardware: ${String(multiplies_bfloat16)}`)
  /** @type {Record<string, { logits: Float32Array[], ms: number }>} */
  const runs = {}
  for (const precision of /** @type {const} */ (['float32', 'bfloat16'])) {
    const request = { architecture: 'resnet50', initializers: { kernel: 'he_normal' }, precision }
    const { id, specification } = planRequest(request, Number.MAX_SAFE_INTEGER)
    await engine.build({ id, specification })
    const one = (/** @type {Uint8Array} */ values) => ({
      id,
      count: 1,
      values,
      k: 1,
      vectors: /** @type {const} */ (['logits']),
    })
    const logits = []
    for (const image of images) logits.push(outputOf(await engine.predict(one(image)), 'logits'))
    const values = Buffer.concat(
      Array.from({ length: BATCH }, (_, i) => images[i % images.length] ?? Buffer.of()),
    )
    let ms = Infinity
    for (let round = 0; round < ROUNDS; round++)
      ms = Math.min(ms, (await engine.predict({ ...one(values), count: BATCH })).computeMs / BATCH)
    runs[precision] = { logits, ms }
  }
  const { float32, bfloat16 } = runs
  const top = (/** @type {Float32Array} */ row) => row.indexOf(Math.max(...row))
  let agree = 0
  let difference = 0
  float32?.logits.forEach((row, index) => {
    const other = bfloat16?.logits[index] ?? row
    if (top(row) === top(other)) agree += 1
    const largest = Math.max(...row.map(Math.abs))
    difference = Math.max(difference, ...row.map((logit, i) => Math.abs(logit - (other[i] ?? 0)) / largest))
  })
  console.log(`${String(images.length)} images: the same best class for ${String(agree)}`)
  console.log(
    `largest difference of a logit, over its image's largest logit: ${(100 * difference).toFixed(2)} %`,
  )
  console.log(
    `ms per image at batch ${String(BATCH)}, minimum of ${String(ROUNDS)}: float32 ${float32?.ms.toFixed(1) ?? ''}, bfloat16 ${bfloat16?.ms.toFixed(1) ?? ''}`,
  )
} finally {
  await engine.close()
}
