import { execFileSync } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { readConfig } from '../../../src/config.ts'
import { arithmeticImage, npy, truncatedJpeg } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { startCollector, type Collector, type ReceivedSpan } from '../../support/otlp.ts'
import { startProcess } from '../../support/process.ts'
import { temporaryFolder } from '../../support/service.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const CALLER = 'b7ad6b7169203331'
const PREDICT = 'POST /v1/models/:model/predict'
const SERVER = 2
const IMAGE = npy([1, 8, 8, 3], arithmeticImage([1, 8, 8, 3]))

let folder: string
let collector: Collector
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(async () => {
  collector = await startCollector()
})
afterEach(() => collector.close())

const started = (settings: Readonly<Record<string, string>> = {}) =>
  startProcess({ DATA_DIR: folder, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...settings })

function only(spans: readonly ReceivedSpan[], name: string): ReceivedSpan {
  const [span, ...others] = spans.filter((one) => one.name === name)
  expect([name, others.length]).toEqual([name, 0])
  if (span === undefined) throw new Error(`there is no span ${name}`)
  return span
}

it("shows where a request's time went, within the caller's trace", async () => {
  const running = await started({ OTEL_SERVICE_NAME: 'initial', OTEL_RESOURCE_ATTRIBUTES: 'zone=here' })
  const { client, log } = running
  const model = await client.create({ ...tiny, name: 'tiny' })
  const headers = { traceparent: `00-${TRACE}-${CALLER}-01`, 'x-request-id': 'the-callers-own' }
  const answer = await client.upload('/v1/models/tiny/predict', IMAGE, 'application/x-npy', headers)
  expect(answer.status).toBe(200)
  await client.get('/v1/models/nobody?secret=1')
  await client.get('/readyz')
  // Pending spans are sent at shutdown.
  expect(await running.stop()).toBe(0)

  const { spans } = collector
  const request = only(spans, PREDICT)
  expect(request).toMatchObject({ traceId: TRACE, parentSpanId: CALLER, kind: SERVER, status: 0 })
  expect(request.attributes).toEqual({
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'http.route': '/v1/models/:model/predict',
    'resinit.request_id': 'the-callers-own',
    'url.path': '/v1/models/tiny/predict',
  })
  expect(request.resource).toMatchObject({ 'service.name': 'initial', zone: 'here' })
  const parts = spans.filter(({ parentSpanId }) => parentSpanId === request.spanId)
  expect(parts.map(({ name }) => name)).toEqual(['decode', 'queue', 'compute'])
  for (const part of parts) {
    expect(part.traceId).toBe(TRACE)
    expect(part.attributes).toMatchObject({ 'resinit.model': model.id, 'resinit.images': 1 })
    // The two clocks differ by less than this.
    expect(part.start).toBeGreaterThan(request.start - 5)
    expect(part.end).toBeLessThan(request.end + 5)
    expect(part.end).toBeGreaterThanOrEqual(part.start)
  }
  expect(only(parts, 'compute').attributes['resinit.batch_size']).toBe(1)
  expect(log.find((entry) => entry['reqId'] === 'the-callers-own')?.['trace_id']).toBe(TRACE)

  const created = only(spans, 'POST /v1/models')
  expect([created.parentSpanId, created.traceId === TRACE]).toEqual(['', false])
  const build = only(spans, 'build')
  expect(build).toMatchObject({ traceId: created.traceId, parentSpanId: created.spanId })
  expect(build.attributes).toMatchObject({ 'resinit.model': model.id })

  const missing = only(spans, 'GET /v1/models/:model')
  expect(missing.attributes).toMatchObject({ 'http.response.status_code': 404 })
  expect(JSON.stringify(spans)).not.toContain('secret')
  expect(spans.filter(({ name }) => name.includes('readyz'))).toEqual([])
  expect(new Set(collector.requests)).toEqual(new Set(['/v1/traces application/x-protobuf']))
})

it('a build belongs to the trace of the prediction that waited for it, and a failure has its reason', async () => {
  const running = await started()
  const { client } = running
  const models = [
    { ...tiny, seed: 1 },
    { ...tiny, seed: 2 },
  ].map((specification) => client.create(specification))
  const ids = (await Promise.all(models)).map(({ id }) => id)
  for (const id of ids) await client.post(`/v2/repository/models/${id}/unload`, {})
  // Both run at once: one model is built after the other's build, and its span still belongs to its own
  // request.
  const answers = await Promise.all(
    ids.map((id) => client.upload(`/v1/models/${id}/predict`, IMAGE, 'application/x-npy')),
  )
  const refused = await client.upload(`/v1/models/${ids[0] ?? ''}/predict`, truncatedJpeg, 'image/jpeg')
  await running.stop()

  expect([...answers, refused].map(({ status }) => status)).toEqual([200, 200, 422])
  const { spans } = collector
  for (const id of ids) {
    const builds = spans.filter((span) => span.name === 'build' && span.attributes['resinit.model'] === id)
    const parents = builds.map(({ parentSpanId }) => spans.find(({ spanId }) => spanId === parentSpanId))
    expect(parents.map((parent) => parent?.attributes['url.path'])).toEqual([
      '/v1/models',
      `/v1/models/${id}/predict`,
    ])
  }
  const codes = spans
    .filter(({ name }) => name === PREDICT)
    .map(({ attributes }) => attributes['http.response.status_code'])
  expect(codes).toEqual(expect.arrayContaining([200, 200, 422]))
})

it('unsampled traces are not sent', async () => {
  const running = await started()
  await running.client.get('/v1/architectures', { traceparent: `00-${TRACE}-${CALLER}-00` })
  await running.client.get('/v1/initializers')
  await running.stop()
  expect(collector.spans.map(({ name }) => name)).toEqual(['GET /v1/initializers'])
})

it('an unavailable collector delays nothing and is logged once', async () => {
  const { url } = collector
  await collector.close()
  const running = await started({ OTEL_BSP_SCHEDULE_DELAY: '50', OTEL_EXPORTER_OTLP_TIMEOUT: '200' })
  collector = await startCollector()
  expect(url).not.toBe(collector.url)
  await running.client.create({ ...tiny, name: 'tiny' })
  const said = () => running.log.filter(({ msg }) => msg === 'traces cannot be sent').length
  const until = performance.now() + 10_000
  while (said() === 0 || performance.now() < until - 8000) {
    expect(performance.now()).toBeLessThan(until)
    const answer = await running.client.upload('/v1/models/tiny/predict', IMAGE, 'application/x-npy')
    expect(answer.status).toBe(200)
  }
  const stopped = performance.now()
  expect(await running.stop()).toBe(0)
  expect(performance.now() - stopped).toBeLessThan(10_000)
  expect(said()).toBe(1)
})

it('is loaded only with a collector', () => {
  const loaded = (module: string): string[] => {
    const script = `import { createRequire } from 'node:module'
      await import('./dist/${module}')
      console.log(JSON.stringify(Object.keys(createRequire(import.meta.url).cache)))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
      encoding: 'utf8',
    })
    return (JSON.parse(output) as string[]).filter((path) => /@opentelemetry\/(?!api\/)/.test(path))
  }
  expect(loaded('service.js')).toEqual([])
  expect(loaded('telemetry/opentelemetry.js')).not.toEqual([])
})

it('an invalid endpoint stops the start', () => {
  expect(() => readConfig({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' })).toThrow(
    /OTEL_EXPORTER_OTLP_ENDPOINT/,
  )
})
