// Compares two builds of the service: ids and seals of models, the OpenAPI document without its texts, the catalogue of
// initializers without its notes, the names and labels of metrics. Usage: node .ci/lib/equality.mjs FOLDER FOLDER
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startService } from '../../bench/lib/service.mjs'

const TINY = {
  version: 'v1.5',
  block: 'basic',
  stem: { kernel_size: 3, filters: 8, strides: 1, padding: 'same', pool: null },
  stages: [
    { blocks: 2, filters: 8, strides: 1 },
    { blocks: 1, filters: 16, strides: 2 },
  ],
}
/** Texts of the OpenAPI document and of the catalogue. */
const TEXTS = new Set(['description', 'summary', 'title', 'formula', 'note', 'notes', 'examples', 'example'])

/** @param {unknown} value @param {boolean} isMap Its keys are names and not keywords. @returns {unknown} */
function withoutTexts(value, isMap = false) {
  if (Array.isArray(value)) return value.map((item) => withoutTexts(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(
        ([key, inner]) => isMap || !TEXTS.has(key) || (typeof inner === 'object' && !Array.isArray(inner)),
      )
      .map(([key, inner]) => [key, withoutTexts(inner, key === 'properties')]),
  )
}

/** @param {string} root */
async function collect(root) {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-equality-'))
  const { url, stop } = await startService(folder, {}, { root })
  try {
    /** @param {string} path @param {unknown} [body] */
    const call = async (path, body) => {
      const request = {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }
      const response = await fetch(`${url}${path}`, body === undefined ? {} : request)
      return response.headers.get('content-type')?.includes('json') ? response.json() : response.text()
    }
    const { initializers } = /** @type {{ initializers: { name: string }[] }} */ (
      await call('/v1/initializers')
    )
    const specifications = [
      {},
      { architecture: 'resnet20', initializers: { kernel: 'he_normal' }, seed: 7 },
      { architecture: 'resnet50', initializers: { kernel: 'glorot_uniform' }, seed: 3 },
      ...['basic', 'bottleneck'].flatMap((block) =>
        ['v1.5', 'v2'].map((version) => ({
          architecture: { ...TINY, block, version },
          classes: 10,
          seed: 5,
        })),
      ),
      ...initializers.map(({ name }) => ({
        architecture: TINY,
        classes: 10,
        initializers: { kernel: name },
        seed: 11,
      })),
    ]
    const models = []
    for (const specification of specifications) {
      const { id, seal, code } = /** @type {Record<string, string>} */ (
        await call('/v1/models', specification)
      )
      models.push({ specification, id, seal, code })
    }
    const openapi = /** @type {{ paths: object }} */ (await call('/openapi.json'))
    const metrics = /** @type {string} */ (await call('/metrics'))
    return {
      models,
      initializers: initializers.map((one) => withoutTexts(one)),
      openapi: withoutTexts(openapi),
      paths: Object.keys(openapi.paths).length,
      metrics: metrics
        .split('\n')
        .filter((line) => line.startsWith('# TYPE'))
        .sort(),
    }
  } finally {
    await stop()
    await rm(folder, { recursive: true, force: true })
  }
}

const [one = '', other = ''] = process.argv.slice(2)
const [before, after] = await Promise.all([collect(one), collect(other)])
assert.deepEqual(after, before)
const counts = {
  models: before.models.length,
  sealed: before.models.filter(({ seal }) => seal !== undefined).length,
  initializers: before.initializers.length,
  paths: before.paths,
  metrics: before.metrics.length,
}
console.log(`equal: ${JSON.stringify(counts)}`)
