import { Ajv } from 'ajv'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../src/config.ts'
import { planRequest } from '../../src/network/plan.ts'
import { openapi } from '../support/contract.ts'

const read = (name: string): string => readFileSync(new URL(`../../deploy/${name}`, import.meta.url), 'utf8')

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string | number }
  readonly periodSeconds: number
  readonly failureThreshold?: number
}
interface Container {
  readonly name: string
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly env?: readonly { readonly name: string; readonly value: string }[]
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } }
  readonly startupProbe?: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly resources: { readonly limits: Readonly<Record<string, string>> }
  readonly securityContext: object
  readonly volumeMounts: readonly { readonly mountPath: string; readonly readOnly?: boolean }[]
}
interface Pod {
  readonly terminationGracePeriodSeconds?: number
  readonly containers: readonly [Container]
}

const deployment = parse(read('kubernetes/base/deployment.yaml')) as {
  readonly spec: { readonly template: { readonly spec: Pod } }
}
const runtime = parse(read('kserve/serving-runtime.yaml')) as { readonly spec: Pod }
const inference = parse(read('kserve/inference-service.yaml')) as {
  readonly metadata: { readonly name: string }
  readonly spec: { readonly predictor: { readonly terminationGracePeriodSeconds: number } }
}
const settings = Object.fromEntries(
  read('kubernetes/base/settings.env')
    .trim()
    .split('\n')
    .map((line): [string, string] => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
)
const environmentOf = ({ env = [] }: Container) =>
  Object.fromEntries(env.map(({ name, value }) => [name, value]))

const pod = deployment.spec.template.spec
describe.each([
  {
    name: 'the Deployment',
    container: pod.containers[0],
    environment: settings,
    graceS: pod.terminationGracePeriodSeconds,
  },
  {
    name: "KServe's runtime",
    container: runtime.spec.containers[0],
    environment: environmentOf(runtime.spec.containers[0]),
    graceS: inference.spec.predictor.terminationGracePeriodSeconds,
  },
])('$name', ({ container, environment, graceS = 0 }) => {
  const config = readConfig(environment)
  const { readinessProbe, livenessProbe, startupProbe } = container

  test('has a grace period that covers the longest shutdown', () => {
    const preStopS = container.lifecycle?.preStop?.sleep?.seconds ?? 0
    const mostS = preStopS + (config.DRAIN_DELAY_MS + config.SHUTDOWN_TIMEOUT_MS) / 1000
    expect(graceS).toBeGreaterThanOrEqual(mostS + 5)
    // An upper bound, since a hanging pod keeps its node.
    expect(graceS).toBeLessThan(mostS + 30)
  })

  test('drains until a readiness probe has failed', () => {
    const noticedMs = readinessProbe.periodSeconds * (readinessProbe.failureThreshold ?? 3) * 1000
    expect(config.DRAIN_DELAY_MS).toBeGreaterThan(noticedMs)
  })

  test('has probes on existing routes and the listening port', () => {
    const ports = [
      config.PORT,
      ...container.ports.filter(({ containerPort }) => containerPort === config.PORT).map(({ name }) => name),
    ]
    for (const { httpGet } of [readinessProbe, livenessProbe, ...(startupProbe ? [startupProbe] : [])]) {
      expect(Object.keys(openapi.paths)).toContain(httpGet.path)
      expect(ports).toContain(httpGet.port)
    }
    // A draining or building service is healthy: only readiness probes may use /readyz.
    expect(readinessProbe.httpGet.path).toMatch(/ready/)
    expect(livenessProbe.httpGet.path).toMatch(/live/)
  })

  test('has valid settings and writable directories', () => {
    const known = readFileSync(new URL('../../src/config.ts', import.meta.url), 'utf8')
    const given = Object.keys(environment).filter((name) => name !== 'PRELOAD')
    expect(given.filter((name) => !new RegExp(`^  ${name}: `, 'm').test(known))).toEqual([])
    const writable = container.volumeMounts
      .filter(({ readOnly = false }) => !readOnly)
      .map(({ mountPath }) => mountPath)
    expect(writable.sort()).toEqual([config.DATA_DIR, '/tmp'])
    expect(container.securityContext).toMatchObject({
      ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    })
  })
})

test('its preloaded models can be built and have the names that KServe uses', () => {
  const folder = new URL('../../deploy/kubernetes/base/models/', import.meta.url)
  const names = readdirSync(folder).map((file) => {
    const { name, ...specification } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
      name: string
      architecture: string
    }
    expect(planRequest(specification, 200_000_000).totals.parameters).toBeGreaterThan(0)
    return name
  })
  expect(names).toContain(inference.metadata.name)
})

describe("KServe's own schema", () => {
  const check = (name: string) => {
    const schema = JSON.parse(read(`schemas/${name}.schema.json`)) as object
    const validate = new Ajv({ strict: false, allErrors: true }).compile(schema)
    return (value: unknown) =>
      validate(value)
        ? []
        : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ''}`)
  }
  it.each(['serving-runtime', 'inference-service'])('accepts %s.yaml', (name) => {
    expect(check(name)(parse(read(`kserve/${name}.yaml`)))).toEqual([])
  })
  it('rejects unknown fields', () => {
    const text = read('kserve/inference-service.yaml')
    const validate = check('inference-service')
    expect(validate(parse(text.replace('minReplicas: 2', 'minReplicas: two')))).toEqual([
      '/spec/predictor/minReplicas must be integer',
    ])
    expect(validate(parse(text.replace('protocolVersion', 'protocolversion')))).toEqual([
      '/spec/predictor/model must NOT have additional properties',
    ])
    expect(validate(parse(text.replace('v1beta1', 'v1')))).toEqual(['/apiVersion must be equal to constant'])
  })
})
