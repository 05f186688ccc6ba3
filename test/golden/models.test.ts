import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { ModelBody } from '../support/client.ts'
import { arithmeticImage } from '../support/images.ts'
import { expectLogits, floatsOf } from '../support/numbers.ts'
import { startService, type RunningService } from '../support/service.ts'

interface Vector {
  readonly spec: object
  /** Base64 of float32. */
  readonly logits: string
  readonly weights_sha256: string
  readonly parameter_count: number
  readonly parameters: readonly { readonly name: string; readonly shape: number[]; readonly sha256: string }[]
}

interface StatisticsBody {
  readonly parameters: readonly {
    readonly name: string
    readonly shape: number[]
    readonly sample: { readonly sha256: string }
  }[]
  readonly totals: { readonly sha256: string }
}

const networks = [
  'resnet20',
  'v1_bottleneck',
  'v2_bottleneck',
  'without_norm',
  'resnet18',
  'resnet50',
  'residual_network',
]

// The statistics run last: half a gigabyte of draws takes minutes on a busy machine.
vi.setConfig({ testTimeout: 300_000 })

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

describe.each(networks)('%s', (name) => {
  const vector = JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8')) as Vector
  let model: ModelBody

  beforeAll(async () => {
    model = await running.client.create(vector.spec)
  })
  // One model at a time: the largest has half a gigabyte of weights.
  afterAll(async () => {
    await running.client.delete(`/v1/models/${model.id}`)
  })

  it('has as many parameters as in Keras', () => {
    expect(model.parameter_count).toBe(vector.parameter_count)
  })

  it('is stored as a recipe, independent of the size of its weights', () => {
    expect(model.artifact_bytes).toBeGreaterThan(1000)
    expect(model.artifact_bytes).toBeLessThan(200_000)
  })

  it('returns the logits that Keras computes', async () => {
    const shape = model.spec.architecture.input_shape
    const [logits = []] = await running.client.logits(model.id, [1, ...shape], arithmeticImage(shape))
    expectLogits(logits, floatsOf(vector.logits))
  })

  it('has the same weights as Keras, to the bit', async () => {
    const { weights_sha256 } = await running.client.withDigest(model.id)
    expect(weights_sha256).toBe(vector.weights_sha256)
  })

  it('reports every parameter by name, shape and bytes', async () => {
    const { json } = await running.client.get(`/v1/models/${model.id}/statistics`)
    const { parameters, totals } = json as StatisticsBody
    expect(parameters.map(({ name, shape, sample }) => ({ name, shape, sha256: sample.sha256 }))).toEqual(
      vector.parameters,
    )
    expect(totals.sha256).toBe(vector.weights_sha256)
  })
})
