import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { photograph } from '../lib/networks.mjs'
import { progress, runPart, table } from '../lib/part.mjs'
import { environment, startPeer } from '../lib/peers.mjs'
import {
  createModel,
  deleteModel,
  megabytes,
  predict,
  readModel,
  readStatistics,
  startService,
} from '../lib/service.mjs'
import { spread } from '../lib/rounds.mjs'

/**
 * Time from the request for a new model to its first prediction, alternating with Keras, and the time and
 * memory of the statistics of all parameters. Every round uses its own seed, so nothing is cached. Every
 * model is deleted after its prediction; in Keras each round begins with `clear_session`.
 */
const SAMPLE_MS = 50
const RESNET = 'resnet50, he_normal'
/** Initializers that Keras draws without seeds of its own. */
const LIKE_KERAS = 'resnet50, glorot_uniform'
const ARTICLE = 'residual_network, xavier_initializer'
/** Milliseconds to the first prediction. @type {Record<string, number>} */
const BOUNDS = { [ARTICLE]: 8000, resnet152: 3500 }
const BOUND = 2000
/** As a share of the time in which Keras builds and predicts once. */
const SHARE = 0.6
const REQUESTS = {
  [RESNET]: { architecture: 'resnet50', initializers: { kernel: 'he_normal' } },
  [LIKE_KERAS]: { architecture: 'resnet50', initializers: { kernel: 'glorot_uniform' } },
  resnet152: { architecture: 'resnet152', initializers: { kernel: 'he_normal' } },
  [ARTICLE]: { architecture: 'residual_network', initializers: { kernel: 'xavier_initializer' } },
}

/** @typedef {import('../lib/service.mjs').Service} Service */

await runPart('creation', { rounds: 5 }, async ({ rounds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'resinit-bench-'))
  const image = await photograph()
  const imageFile = join(folder, 'photograph.jpg')
  await writeFile(imageFile, image)
  const keras = startPeer(environment('keras').python, ['bench/python/keras_peer.py'])
  let service = await startService(join(folder, 'data'))
  try {
    /** @type {Record<string, Awaited<ReturnType<typeof create>>[]>} */
    const ours = {}
    /** @type {Record<'model' | 'predict', number[]>} */
    const theirs = { model: [], predict: [] }
    // The first build of a process also loads TensorFlow's kernels; the service has built one before it is
    // ready.
    for (const call of /** @type {const} */ (['model', 'predict']))
      await createInKeras(keras, 0, imageFile, call)
    for (let seed = 1; seed <= rounds; seed++) {
      progress(`creation, round ${String(seed)}`)
      for (const [name, request] of Object.entries(REQUESTS)) {
        const created = await create(service, { ...request, seed }, image)
        ours[name] = [...(ours[name] ?? []), created]
        await deleteModel(service, created.id)
      }
      for (const [call, times] of Object.entries(theirs)) {
        times.push(await createInKeras(keras, seed, imageFile, call))
      }
    }
    const rows = Object.entries(ours).map(([name, all]) => [
      `${name}: POST to first prediction, ms`,
      ...[spread(times(all), 0), String(BOUNDS[name] ?? BOUND)],
    ])
    const like = times(ours[LIKE_KERAS] ?? [])
    const share = (/** @type {number[]} */ keras) =>
      spread(
        keras.map((time, round) => (like[round] ?? NaN) / time),
        2,
      )
    rows.push(
      ['Keras ResNet50, built and `model(x)`, ms', spread(theirs.model, 0), ''],
      ['Keras ResNet50, built and `model.predict(x)`, ms', spread(theirs.predict, 0), ''],
      [`${LIKE_KERAS} over Keras with \`model(x)\``, share(theirs.model), ''],
      [`${LIKE_KERAS} over Keras with \`model.predict(x)\``, share(theirs.predict), String(SHARE)],
      [`${RESNET}: artifact_bytes`, spread(ours[RESNET]?.map(({ bytes }) => bytes) ?? [], 0), '200000'],
    )

    const statistics = []
    const peaks = []
    for (let seed = 1; seed <= rounds; seed++) {
      const { id } = await create(service, { ...REQUESTS[ARTICLE], seed }, image)
      // After a restart the analysis process holds no draws of an earlier digest.
      await service.stop()
      service = await startService(join(folder, 'data'))
      statistics.push(await measureStatistics(service, id))
      await predict(service, id, image)
      peaks.push(await megabytes(service, 'VmHWM'))
      await deleteModel(service, id)
    }
    const extras = statistics.map(({ extra }) => extra)
    rows.push(
      ['residual_network: statistics of all parameters, ms', spread(times(statistics), 0), '15000'],
      [
        'residual_network: peak resident memory of the statistics, MB above the level before',
        spread(extras, 0),
        '1500',
      ],
      [
        'residual_network: peak memory of all processes while it is built and predicts, MB',
        spread(peaks, 0),
        '',
      ],
    )
    return table(['', 'found', 'bound'], rows)
  } finally {
    await Promise.all([service.stop(), keras.close()])
    await rm(folder, { recursive: true })
  }
})

/** @param {{ ms: number }[]} rounds */
function times(rounds) {
  return rounds.map(({ ms }) => ms)
}

/**
 * Milliseconds from the request for a model to the response to its first prediction. Returns after the
 * analysis process has finished its digest.
 * @param {Service} service
 * @param {object} specification
 * @param {Buffer} image
 */
async function create(service, specification, image) {
  const started = performance.now()
  const { id, artifact_bytes: bytes } = await createModel(service, specification)
  await predict(service, id, image)
  const ms = performance.now() - started
  while ((await readModel(service, id)).weights_sha256 === null) await pause(SAMPLE_MS)
  return { id, bytes, ms }
}

/**
 * @param {ReturnType<typeof startPeer>} keras
 * @param {number} seed
 * @param {string} imageFile
 * @param {string} call
 */
async function createInKeras(keras, seed, imageFile, call) {
  const { ms } = /** @type {{ ms: number }} */ (await keras.ask({ seed, image_path: imageFile, call }))
  return ms
}

/**
 * @param {Service} service
 * @param {string} id
 */
async function measureStatistics(service, id) {
  const before = await megabytes(service, 'VmRSS')
  const started = performance.now()
  const answer = readStatistics(service, id).then(() => performance.now() - started)
  let extra = 0
  let ms
  while (ms === undefined) {
    ms = await Promise.race([answer, pause(SAMPLE_MS, undefined)])
    extra = Math.max(extra, (await megabytes(service, 'VmRSS')) - before)
  }
  return { ms, extra }
}
