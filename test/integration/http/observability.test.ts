import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ERRORS } from '../../../src/common/errors.ts'
import { arithmeticImage, npy } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

const FILES = [
  'grafana/resinit.json',
  'prometheus/alerts.yaml',
  'prometheus/alerts.test.yaml',
  'prometheus/adapter.yaml',
  'kubernetes/base/autoscaler.yaml',
]
const read = (name: string): string =>
  readFileSync(new URL(`../../../deploy/${name}`, import.meta.url), 'utf8').replaceAll('\\"', '"')
/** Metric names in a query; other words such as `resinit` are not metrics. */
const namesIn = (text: string): string[] => [...text.matchAll(/\bresinit_[a-z_]+/g)].map(([name]) => name)

let running: RunningService
let offered: { readonly names: ReadonlySet<string>; readonly labels: ReadonlySet<string> }
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, name: 'tiny' })
  const image = npy([1, 8, 8, 3], arithmeticImage([1, 8, 8, 3]))
  await running.client.upload('/v1/models/tiny/predict', image, 'application/x-npy')
  await running.client.get('/v1/models/nobody')
  const text = (await running.client.get('/metrics')).bytes.toString()
  offered = {
    names: new Set([...text.matchAll(/^([a-z_]+)/gm)].map(([name]) => name)),
    labels: new Set([...text.matchAll(/[{,]([a-z_]+)="/g)].map(([, label]) => label ?? '')),
  }
})
afterAll(() => running.close())

it.each(FILES)('every metric in %s exists in /metrics', (file) => {
  const names = namesIn(read(file))
  expect(names).not.toEqual([])
  expect(names.filter((name) => !offered.names.has(name))).toEqual([])
})

it.each(FILES.slice(0, 2))('every label and code in %s exists', (file) => {
  const text = read(file)
  const matched = [...text.matchAll(/resinit_[a-z_]+\{([^}]*)\}/g)].flatMap(([, selector = '']) =>
    [...selector.matchAll(/([a-z_]+)\s*(?:=~|!=|=)\s*"([^"]*)"/g)].map(([, label = '', value = '']) => ({
      label,
      value,
    })),
  )
  const grouped = [...text.matchAll(/by \(([a-z_, ]+)\)/g)].flatMap(([, labels = '']) => labels.split(/, ?/))
  const scraped = ['job', 'instance']
  expect(matched).not.toEqual([])
  expect(
    [...matched.map(({ label }) => label), ...grouped].filter(
      (label) => !offered.labels.has(label) && !scraped.includes(label),
    ),
  ).toEqual([])
  expect(matched.filter(({ label, value }) => label === 'code' && !(value in ERRORS))).toEqual([])
})

it('every metric has a panel, except the count of predictions and the process start', () => {
  const shown = new Set(
    namesIn(read('grafana/resinit.json')).map((name) => name.replace(/_(bucket|sum|count)$/, '')),
  )
  const all = [...offered.names].map((name) => name.replace(/_(bucket|sum|count)$/, ''))
  expect([...new Set(all)].filter((name) => !shown.has(name)).sort()).toEqual([
    'resinit_predictions_total',
    'resinit_process_start_time_seconds',
  ])
})
