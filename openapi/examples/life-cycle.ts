// The life cycle of a model. The generated client types every response and every error.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { client } from './client/client.gen.js'
import type { Auth } from './client/client/index.js'
import {
  createModel,
  deleteModel,
  fitInitializers,
  getModel,
  getStatistics,
  getWeights,
  predict,
  type CreateModelErrors,
  type CreateModelResponses,
  type PredictErrors,
  type PredictResponses,
  type Problem,
} from './client/index.js'

const { RESINIT = 'http://127.0.0.1:8080', RESINIT_KEY } = process.env
client.setConfig({ baseUrl: RESINIT, auth: RESINIT_KEY })
const photograph = await readFile(process.argv[2] ?? 'photograph.jpg')
const throwOnError = true

// Create without waiting, then poll until the model is ready.
const { data: accepted, response } = await createModel({
  headers: { Prefer: 'respond-async' },
  body: { architecture: 'resnet20', initializers: { kernel: 'he_normal' }, seed: 11 },
  throwOnError,
})
const path = { model: accepted.id }
let model = accepted
while (model.state === 'building') {
  await sleep(50)
  model = (await getModel({ path, throwOnError })).data
}

const { data: prediction } = await predict({
  path,
  body: { instances: [{ b64: photograph.toString('base64') }] },
  throwOnError,
})

// The generator supports only JSON if an operation accepts several types; send the others with the client itself.
const security: Auth[] = [{ scheme: 'bearer', type: 'http' }]
const { data: sameInBytes } = await client.post<PredictResponses, PredictErrors, true>({
  url: '/v1/models/{model}/predict',
  path,
  headers: { 'Content-Type': 'image/jpeg' },
  body: photograph,
  bodySerializer: null,
  security,
  throwOnError,
})

const { data: statistics } = await getStatistics({ path, query: { parameters: '**/kernel' }, throwOnError })
const { data: weights } = await getWeights({ path, throwOnError })

// Find the initializers that explain the weights.
const { data: fitted } = await fitInitializers({ body: weights, throwOnError })

const removed = await deleteModel({ path, throwOnError })

// A weights file of the service restores the model without a specification.
const form = new FormData()
form.append('weights', weights, 'weights.safetensors')
const { data: restored } = await client.post<CreateModelResponses, CreateModelErrors, true>({
  url: '/v1/models',
  headers: { 'Content-Type': null },
  body: form,
  bodySerializer: null,
  security,
  throwOnError,
})
await deleteModel({ path: { model: restored.id }, throwOnError })

const { error: gone } = await getModel({ path })
const { error: invalid } = await createModel({ body: { architecture: 'resnet20', classes: 0 } })
const refusals: (Problem | undefined)[] = [gone, invalid]

console.log(
  JSON.stringify({
    accepted: response.status,
    model,
    classes: [prediction, sameInBytes].map(({ predictions }) => predictions[0]?.classes),
    flagged: statistics.totals.flagged,
    verdicts: fitted.parameters.map(({ name, verdict }) => ({ name, verdict })),
    removed: removed.response.status,
    restored,
    refusals: refusals.map((problem) => ({ code: problem?.code, errors: problem?.errors })),
  }),
)
