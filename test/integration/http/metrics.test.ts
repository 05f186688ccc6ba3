import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { arithmeticImage, npy, truncatedJpeg } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startService, type RunningService } from '../../support/service.ts'

/** https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details */
const HELP = /^# HELP ([a-z_]+) .+$/
const TYPE = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/
const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/
const LABEL = /([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"/g

interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** Parses the text format; fails for any other line. */
function parse(text: string) {
  const types = new Map<string, string>()
  const helped = new Set<string>()
  const samples: Sample[] = []
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const help = HELP.exec(line)
    const type = TYPE.exec(line)
    if (help) helped.add(help[1] ?? '')
    else if (type) types.set(type[1] ?? '', type[2] ?? '')
    else {
      const [, name = '', labels = '', value] = SAMPLE.exec(line) ?? []
      expect(name, line).not.toBe('')
      const pairs = [...labels.matchAll(LABEL)].map(([, key = '', text = '']) => [key, text])
      samples.push({ name, labels: Object.fromEntries(pairs) as Sample['labels'], value: Number(value) })
    }
  }
  expect(helped).toEqual(new Set(types.keys()))
  return { types, samples }
}

describe('the metrics', () => {
  let running: RunningService
  const read = async () => {
    const answer = await running.client.get('/metrics')
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/)
    return parse(answer.bytes.toString())
  }
  const valueOf = (samples: readonly Sample[], name: string, labels: Sample['labels'] = {}) => {
    const found = samples.filter(
      (sample) =>
        sample.name === `resinit_${name}` &&
        Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    expect(found, name).toHaveLength(1)
    return found[0]?.value
  }
  beforeAll(async () => {
    running = await startService()
    const { client } = running
    await client.create({ ...tiny, name: 'tiny' })
    const path = '/v1/models/tiny/predict'
    for (const count of [1, 3]) {
      const shape = [count, 8, 8, 3]
      await client.upload(path, npy(shape, arithmeticImage(shape)), 'application/x-npy')
    }
    await client.upload(path, truncatedJpeg, 'image/jpeg')
    await client.get('/v1/models/a-name-of-a-caller')
    await client.get('/a-path-of-a-caller')
  })
  afterAll(() => running.close())

  it('count requests, predictions and errors', async () => {
    const { samples } = await read()
    const route = 'POST /v1/models/:model/predict'
    const wanted: [string, Sample['labels'], number][] = [
      ['request_duration_seconds_count', { route, status: '200' }, 2],
      ['request_duration_seconds_count', { route, status: '422' }, 1],
      ['request_duration_seconds_count', { route: 'GET /v1/models/:model', status: '404' }, 1],
      ['request_duration_seconds_count', { route: 'none', status: '404' }, 1],
      ['decode_duration_seconds_count', {}, 2],
      ['queue_duration_seconds_count', {}, 2],
      ['compute_duration_seconds_count', {}, 2],
      ['batch_size_images_sum', {}, 4],
      ['predictions_total', {}, 2],
      ['images_total', {}, 4],
      ['errors_total', { code: 'INVALID_IMAGE' }, 1],
      ['errors_total', { code: 'MODEL_NOT_FOUND' }, 1],
      ['errors_total', { code: 'ROUTE_NOT_FOUND' }, 1],
      ['model_requests_total', { model: 'tiny' }, 3],
      ['model_images_total', { model: 'tiny' }, 4],
      ['model_request_seconds_count', { model: 'tiny' }, 3],
      ['model_compute_seconds_count', { model: 'tiny' }, 2],
      ['queue_images', {}, 0],
      ['queue_bytes', {}, 0],
      ['resident_models', {}, 1],
      ['engine_ready', {}, 1],
      ['engine_restarts_total', {}, 0],
    ]
    for (const [name, labels, value] of wanted)
      expect([name, valueOf(samples, name, labels)]).toEqual([name, value])
    expect(valueOf(samples, 'resident_bytes')).toBeGreaterThan(0)
    expect(valueOf(samples, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(valueOf(samples, 'process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(valueOf(samples, 'process_start_time_seconds')).toBeLessThan(Date.now() / 1000)
  })

  it('are valid: names by one rule, bounded labels, consistent histograms', async () => {
    const { types, samples } = await read()
    expect([...types.keys()].filter((name) => !name.startsWith('resinit_'))).toEqual([])
    for (const [name, type] of types)
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
    const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)))
    expect([...labels].sort()).toEqual(['code', 'le', 'model', 'node', 'route', 'status', 'version'])
    const values = samples.flatMap((sample) => Object.values(sample.labels))
    expect(values.filter((value) => value.includes('caller'))).toEqual([])
    expect(new Set(samples.flatMap(({ labels }) => labels['model'] ?? []))).toEqual(new Set(['tiny']))
    for (const [name] of [...types].filter(([, type]) => type === 'histogram')) {
      const groups = new Map<string, Sample[]>()
      for (const sample of samples.filter((one) => one.name === `${name}_bucket`)) {
        const { le: _, ...others } = sample.labels
        const group = JSON.stringify(others)
        groups.set(group, [...(groups.get(group) ?? []), sample])
      }
      for (const [group, buckets] of groups) {
        const counts = buckets.map(({ value }) => value)
        expect(counts).toEqual(counts.toSorted((a, b) => a - b))
        expect(buckets.at(-1)?.labels['le']).toBe('+Inf')
        const count = samples.find(
          (sample) => sample.name === `${name}_count` && JSON.stringify(sample.labels) === group,
        )
        expect(count?.value).toBe(counts.at(-1))
      }
    }
  })
})
