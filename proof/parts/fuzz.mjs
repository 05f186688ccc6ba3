import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Choices } from '../lib/choices.mjs'
import { mutateBytes, mutateJson } from '../lib/mutations.mjs'
import { progress, runProof } from '../lib/part.mjs'
import { processesOf } from '../lib/processes.mjs'
import {
  binaryInference,
  form,
  imageFiles,
  json,
  npy,
  pixels,
  SHAPE,
  specification,
  weightsFiles,
} from '../lib/requests.mjs'
import { startWithClient } from '../lib/service.mjs'

/**
 * Random mutations of valid inputs with a fixed seed: images, arrays, forms, specifications, weights of all formats,
 * inference requests with binary tensors. No process ends, no response is a 5xx, and memory at the end is at
 * the level after the first fifth.
 */
const INPUTS = 20_000
const SEED = 1
const CLIENTS = 4
const WARM_UP = 0.2
/** Allowed growth of all processes together. */
const GROWTH = { share: 0.05, megabytes: 25 }
/** In a short run the warm-up is short, and heaps still fill. */
const GROWTH_OF_A_PART = { share: 0.15, megabytes: 25 }
/** Random networks are built within milliseconds; each is deleted again. */
const SETTINGS = { MAX_MODEL_PARAMETERS: '20000', MAX_BODY_BYTES: '1000000' }

/** @typedef {import('../lib/client.mjs').Request} Request */

await runProof('fuzz', async (share) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-fuzz-'))
  const service = await startWithClient(folder, SETTINGS)
  const { client, pid } = service
  try {
    const created = await client.send(json('/v1/models', { ...specification(0), name: 'net' }))
    if (created.status !== 201) throw new Error(created.bytes.toString())
    const corpora = await corporaOf((await client.send({ path: '/v1/models/net/weights' })).bytes)
    const names = Object.keys(corpora)
    const choices = new Choices(SEED)
    const count = Math.ceil(INPUTS * share)
    /** @type {string[]} */
    const failures = []
    /** @type {Record<string, Record<string, number>>} */
    const found = Object.fromEntries(names.map((name) => [name, {}]))
    let sent = 0

    /** @param {number} until */
    const runClient = async (until) => {
      while (sent < until) {
        const name = names[sent % names.length] ?? ''
        sent += 1
        if (sent % 1000 === 0) progress(`${String(sent)} inputs`)
        const request = corpora[name]?.(choices)
        if (request === undefined) continue
        const { status, bytes } = await client.send(request)
        const statuses = found[name] ?? {}
        statuses[status] = (statuses[status] ?? 0) + 1
        if (status >= 500 || status < 200)
          failures.push(
            `${name} ${String(sent)}: ${String(status)} ${bytes.toString().slice(0, 300)} for ${shown(request)}`,
          )
        // 200: the model exists already, created by this or another client.
        if (request.path === '/v1/models' && status === 201) {
          /** @type {{ id: string }} */
          const { id } = JSON.parse(bytes.toString())
          await client.send({ method: 'DELETE', path: `/v1/models/${id}` })
        }
      }
    }
    const together = (/** @type {number} */ until) =>
      Promise.all(Array.from({ length: CLIENTS }, () => runClient(until)))
    await together(count * WARM_UP)
    const before = await processesOf(pid)
    await together(count)
    const after = await processesOf(pid)

    for (const [at, { role, pid: old }] of before.entries())
      if (after[at]?.pid !== old) failures.push(`the ${role} was restarted`)
    const megabytes = [before, after].map((all) =>
      Object.fromEntries(all.map(({ role, megabytes: held }) => [role, Math.round(held)])),
    )
    const [first = 0, last = 0] = megabytes.map((all) =>
      Object.values(all).reduce((sum, one) => sum + one, 0),
    )
    const bound = share < 1 ? GROWTH_OF_A_PART : GROWTH
    if (last - first > Math.max(bound.share * first, bound.megabytes))
      failures.push(`memory grew from ${String(first)} to ${String(last)} MB`)
    return { count, failures, found: { megabytes, statuses: found } }
  } finally {
    await service.stop()
    await rm(folder, { recursive: true, force: true })
  }
})

/**
 * Generators of the inputs of each kind.
 * @param {Buffer} weights
 * @returns {Promise<Record<string, (choices: Choices) => Request>>}
 */
async function corporaOf(weights) {
  const images = await imageFiles()
  const files = await weightsFiles()
  const predict = '/v1/models/net/predict'
  const array = npy([1, ...SHAPE], pixels(1))
  const octets = { 'content-type': 'application/octet-stream' }
  const encoded = images[0]?.bytes ?? Buffer.alloc(0)
  const columns = { inputs: [{ b64: encoded.toString('base64') }] }
  const tensor = { name: 'images', datatype: 'UINT8', shape: [1, ...SHAPE], data: [...pixels(2)] }
  return {
    image: (choices) => {
      const { type, bytes } = choices.of(images)
      return { path: predict, headers: { 'content-type': type }, body: mutateBytes(bytes, choices) }
    },
    npy: (choices) => ({
      path: predict,
      headers: { 'content-type': 'application/x-npy' },
      body: mutateBytes(array, choices),
    }),
    form: (choices) => {
      const parts = images.slice(0, 2).map(({ type, bytes }) => ({ name: 'images', type, bytes }))
      const request = form(predict, parts)
      return { ...request, body: mutateBytes(request.body, choices) }
    },
    specification: (choices) =>
      json('/v1/models', mutateJson(specification(1 + choices.below(100)), choices)),
    plan: (choices) => json('/v1/plans', mutateJson(specification(1 + choices.below(100)), choices)),
    safetensors: (choices) => ({
      path: '/v1/weights/statistics',
      headers: octets,
      body: mutateBytes(weights, choices),
    }),
    weights: (choices) => {
      const file = mutateBytes(weights, choices)
      return form('/v1/models', [{ name: 'weights', bytes: file, type: 'application/octet-stream' }])
    },
    'weights of other formats': (choices) => {
      const load = Buffer.from(JSON.stringify({ missing: 'initialize', extra: 'ignore' }))
      return form('/v1/models', [
        { name: 'load', bytes: load },
        { name: 'weights', bytes: mutateBytes(choices.of(files), choices), type: 'application/octet-stream' },
      ])
    },
    inference: (choices) => {
      const request = binaryInference('net', pixels(1))
      const length = choices.of([
        request.headers['inference-header-content-length'],
        String(choices.below(400)),
      ])
      return {
        ...request,
        headers: { 'inference-header-content-length': length },
        body: mutateBytes(request.body, choices),
      }
    },
    'inference with JSON tensors': (choices) =>
      json('/v2/models/net/infer', mutateJson({ inputs: [tensor] }, choices)),
    'TensorFlow Serving': (choices) => json('/v1/models/net:predict', mutateJson(columns, choices)),
  }
}

/** The parts of a request that reproduce it. @param {Request} request */
function shown({ path, headers, body = '' }) {
  return `${path} ${JSON.stringify(headers)} ${Buffer.from(body).toString('base64').slice(0, 2000)}`
}
