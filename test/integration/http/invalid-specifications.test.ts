import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { tiny } from '../../support/networks.ts'
import { expectProblem, type Refusal } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())
afterEach(async () => {
  expect((await running.client.get('/readyz')).status).toBe(200)
  expect(running.service.engine.restarts).toBe(0)
})

const kernel = (initializer: unknown) => ({ ...tiny, initializers: { kernel: initializer } })
const architecture = (changes: object) => ({ ...tiny, architecture: { ...tiny.architecture, ...changes } })
const invalid = (pointer: string, says: RegExp): Refusal => ({
  status: 422,
  code: 'INVALID_REQUEST',
  pointer,
  says,
})

const refused: Record<string, readonly [unknown, Refusal]> = {
  'an unknown initializer': [
    kernel('he_norml'),
    invalid('#/initializers/kernel', /"he_norml" is not a known initializer; did you mean "he_normal"\?/),
  ],
  'an unknown class': [
    kernel({ class_name: 'GlorotUnifrom' }),
    invalid('#/initializers/kernel/class_name', /did you mean "GlorotUniform"\?/),
  ],
  'a scale of 0': [
    kernel({ class_name: 'VarianceScaling', config: { scale: 0 } }),
    invalid('#/initializers/kernel/config/scale', /must be > 0, got 0/),
  ],
  'a misspelt stddev': [
    kernel({ class_name: 'RandomNormal', config: { stdev: 0.1 } }),
    invalid('#/initializers/kernel/config/stdev', /did you mean "stddev"\?/),
  ],
  'a maxval below minval': [
    kernel({ class_name: 'RandomUniform', config: { minval: 1, maxval: 0 } }),
    invalid('#/initializers/kernel/config/maxval', /at least minval/),
  ],
  'an unknown initializer in an override': [
    { ...tiny, initializers: { overrides: [{ match: '**', initializer: 'zeroes' }] } },
    invalid('#/initializers/overrides/0/initializer', /did you mean "zeros"\?/),
  ],
  'an initializer that does not take the rank': [
    kernel('identity'),
    invalid('#/initializers/kernel', /Identity needs a shape of rank 2/),
  ],
  'a number given as text': [{ ...tiny, classes: '64' }, invalid('#/classes', /must be integer, got "64"/)],
  'a seed with a fraction': [{ ...tiny, seed: 0.5 }, invalid('#/seed', /must be integer, got 0.5/)],
  'a seed beyond the safe integers': [
    { ...tiny, seed: 2 ** 53 },
    invalid('#/seed', /must be <= 9007199254740991/),
  ],
  'a misspelt field': [
    { ...tiny, initialisers: {} },
    invalid('#/initialisers', /did you mean "initializers"\?/),
  ],
  'a misspelt field of the architecture': [
    architecture({ stage: [] }),
    invalid('#/architecture/stage', /did you mean "stages"\?/),
  ],
  'no architecture': [{ seed: 1 }, invalid('#/architecture', /is required/)],
  'an unknown preset': [
    { architecture: 'resnet51' },
    invalid('#/architecture', /did you mean "resnet5[06]"\?|did you mean "resnet101"\?/),
  ],
  'no object': ['resnet50', invalid('#', /must be object, got "resnet50"/)],
  'classes and units that differ': [
    { ...tiny, architecture: { ...tiny.architecture, head: { units: 6 } } },
    invalid('#/classes', /head|units/),
  ],
  "the article's parameters elsewhere": [
    architecture({ filters: [4] }),
    invalid('#/architecture/filters', /is valid with the preset "residual_network" only/),
  ],
  'a standard deviation of 0': [
    { ...tiny, preprocessing: { std: [1, 0, 1] } },
    invalid('#/preprocessing/std/1', /must be > 0, got 0/),
  ],
  'labels that are not as many as classes': [{ ...tiny, labels: ['one'] }, invalid('#/labels', /5/)],
  'a name of dots': [{ ...tiny, name: '..' }, invalid('#/name', /not only dots/)],
  'a name like an id': [{ ...tiny, name: 'a'.repeat(64) }, invalid('#/name', /must not look like an id/)],
  'a name that is a path': [
    { ...tiny, name: 'stats' },
    invalid('#/name', /must not be "stats", a part of the path GET \/v2\/models\/stats/),
  ],
  'a name that NFS gives': [
    { ...tiny, name: '.nfs0000a1' },
    invalid('#/name', /not a name that network file systems give/),
  ],
  'a billion parameters': [
    { architecture: { stages: [{ blocks: 8, filters: 4096 }] } },
    {
      status: 422,
      code: 'MODEL_TOO_LARGE',
      pointer: '#/architecture',
      says: /parameters, more than the limit of 200,000,000; .* raise MAX_MODEL_PARAMETERS/,
    },
  ],
  'a shortcut that cannot be': [
    architecture({ stages: [{ blocks: 1, filters: 8, strides: 2 }], shortcut: 'never' }),
    { status: 422, code: 'SHAPE_MISMATCH', pointer: '#/architecture/shortcut', says: /projection/ },
  ],
  'a window that does not fit': [
    architecture({ head: { pool: { type: 'average', size: 9, strides: 1, padding: 'valid' } } }),
    { status: 422, code: 'SHAPE_MISMATCH', pointer: '#/architecture', says: /9x9 window does not fit/ },
  ],
}

describe.each(['/v1/models', '/v1/plans'])('POST %s rejects', (path) => {
  const cases = Object.entries(refused).filter(
    ([title]) => path === '/v1/models' || !title.startsWith('a name'),
  )
  it.each(cases)('%s', async (_, [body, refusal]) => {
    expectProblem(await running.client.post(path, body), refusal)
    expect((await running.client.get('/v1/models')).json).toEqual({ models: [], next_cursor: null })
  })
})

it('names every wrong field at once', async () => {
  const body = { ...tiny, classes: 0, seed: 'x', precision: 'int8' }
  const { errors = [] } = expectProblem(await running.client.post('/v1/models', body), {
    status: 422,
    code: 'INVALID_REQUEST',
  })
  expect(errors.map(({ pointer }) => pointer).sort()).toEqual(['#/classes', '#/precision', '#/seed'])
})
