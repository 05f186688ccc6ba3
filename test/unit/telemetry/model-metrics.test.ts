import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { ModelMetrics } from '../../../src/telemetry/model-metrics.ts'

const digits = (index: number): string => index.toString(16).padStart(12, '0').padEnd(64, 'f')

it('a model has its name or twelve digits of its id as a label, and the models after a hundred share one', async () => {
  const registry = new Registry()
  const names = new Map([[digits(0), 'photographs']])
  const metrics = new ModelMetrics(registry, [1], (id) => names.get(id))
  for (let index = 0; index < 150; index++) metrics.request(digits(index), 1000)
  metrics.images(digits(0), 3)
  metrics.batch(digits(149), 500)
  const [requests, images, compute] = await Promise.all(
    ['requests_total', 'images_total', 'compute_seconds'].map(async (name) => {
      const { values = [] } = (await registry.getSingleMetric(`resinit_model_${name}`)?.get()) ?? {}
      return values.map(({ labels, value }) => ({ label: labels['model'], value }))
    }),
  )
  expect(requests).toHaveLength(101)
  expect(requests?.slice(0, 2)).toEqual([
    { label: 'photographs', value: 1 },
    { label: '000000000001', value: 1 },
  ])
  expect(requests?.at(-1)).toEqual({ label: 'other', value: 50 })
  expect(images).toEqual([{ label: 'photographs', value: 3 }])
  expect(new Set(compute?.map(({ label }) => label))).toEqual(new Set(['other']))
})
