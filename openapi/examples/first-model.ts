// Creates a ResNet-18, classifies a photograph, reads the verdict of its statistics and downloads its weights.
import { readFile, writeFile } from 'node:fs/promises'
import { client } from './client/client.gen.js'
import { createModel, getStatistics, getWeights, predict } from './client/index.js'

const { RESINIT = 'http://127.0.0.1:8080', RESINIT_KEY } = process.env
client.setConfig({ baseUrl: RESINIT, auth: RESINIT_KEY })
const photograph = await readFile(process.argv[2] ?? 'photograph.jpg')
const path = { model: 'example' }

// The response arrives when the model is ready. The same specification always gives the same model.
const { data: model } = await createModel({
  body: { architecture: 'resnet18', initializers: { kernel: 'he_normal' }, seed: 7, name: 'example' },
  throwOnError: true,
})
console.log('model', model.id)

const { data: prediction } = await predict({
  path,
  query: { top_k: 1 },
  body: { instances: [{ b64: photograph.toString('base64') }] },
  throwOnError: true,
})
for (const { index, logit, probability } of prediction.predictions.flatMap(({ classes }) => classes))
  console.log(`class ${index}: logit ${logit}, probability ${probability}`)

// Flagged parameters contradict their initializer.
const { data: statistics } = await getStatistics({ path, throwOnError: true })
const { flagged } = statistics.totals
console.log(
  `verdict: ${flagged.length > 0 ? `flagged are ${flagged.join(', ')}` : 'every parameter matches he_normal'}`,
)

const { data: weights } = await getWeights({ path, throwOnError: true })
await writeFile('example.safetensors', weights.stream())
console.log(`weights: ${weights.size} bytes`)
