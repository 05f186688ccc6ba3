import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Answer } from '../../support/client.ts'
import { arithmeticImage } from '../../support/images.ts'
import { tiny } from '../../support/networks.ts'
import { expectForeignError } from '../../support/problems.ts'
import { startService, type RunningService } from '../../support/service.ts'
import { imagesInput as images, inferenceOf } from '../../support/tensors.ts'

/*
 * Malformed requests of Triton's qa/L0_http, L0_parameters and L0_input_validation, OpenVINO's kfs_rest_test
 * and the checks of Triton's http_server.cc and infer_request.cc.
 */
const SHAPE = [8, 8, 3] as const
const SIZE = 192
const INFER = '/v2/models/net/infer'
const data = [...arithmeticImage(SHAPE)]

let running: RunningService
beforeAll(async () => {
  running = await startService()
  await running.client.create({ ...tiny, labels: ['a', 'b', 'c', 'd', 'e'], name: 'net' })
})
afterAll(() => running.close())

const infer = (json: object, path = INFER): Promise<Answer> => running.client.post(path, json)

const refused: Record<string, readonly [object, RegExp]> = {
  'a sequence that starts': [
    { inputs: [images()], parameters: { sequence_start: true } },
    /sequence_start requires a stateful model/,
  ],
  'a sequence that ends': [
    { inputs: [images()], parameters: { sequence_end: true } },
    /sequence_end requires a stateful model/,
  ],
  'an invalid sequence identifier': [
    { inputs: [images()], parameters: { sequence_id: false } },
    /sequence_id requires a stateful model/,
  ],
  'an invalid sequence flag': [
    { inputs: [images()], parameters: { sequence_start: 0 } },
    /sequence_start requires a stateful model/,
  ],
  'an invalid priority': [
    { inputs: [images()], parameters: { priority: -1 } },
    /priority must be an integer of at least 0/,
  ],
  'a negative timeout': [{ inputs: [images()], parameters: { timeout: -1 } }, /timeout must be an integer/],
  'a parameter with a reserved name': [
    { inputs: [images()], parameters: { triton_enable_empty_final_response: true } },
    /triton_enable_empty_final_response is a name reserved/,
  ],
  ...Object.fromEntries(
    [[1], { a: 1 }, null].flatMap((value) => [
      [
        `a parameter of the request that is ${JSON.stringify(value)}`,
        [{ inputs: [images()], parameters: { mine: value } }, /#\/parameters\/mine has an invalid type/],
      ],
      [
        `a parameter of an input that is ${JSON.stringify(value)}`,
        [
          { inputs: [images({ parameters: { mine: value } })] },
          /#\/inputs\/0\/parameters\/mine has an invalid type/,
        ],
      ],
      [
        `a parameter of an output that is ${JSON.stringify(value)}`,
        [
          { inputs: [images()], outputs: [{ name: 'logits', parameters: { mine: value } }] },
          /#\/outputs\/0\/parameters\/mine has an invalid type/,
        ],
      ],
    ]),
  ),
  'an input twice': [{ inputs: [images(), images()] }, /input 'images' already exists in request/],
  'an encoded input twice': [
    {
      inputs: ['aGk=', 'aGk='].map((data) => ({
        ...{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [data] },
      })),
    },
    /input 'image_bytes' already exists in request/,
  ],
  'an input that is no object': [{ inputs: ['images'] }, /#\/inputs\/0 must be an object/],
  'an input without a name': [
    { inputs: [images({ name: undefined })] },
    /#\/inputs\/0\/name must be a string/,
  ],
  'an input without a datatype': [
    { inputs: [images({ datatype: undefined })] },
    /#\/inputs\/0\/datatype must be a string/,
  ],
  'an input without a shape': [{ inputs: [images({ shape: undefined })] }, /array of integers of at least 0/],
  'an empty shape': [{ inputs: [images({ shape: [] })] }, /expecting \[n, 8, 8, 3\], got \[\]/],
  'a shape whose product wraps around 64 bits': [
    { inputs: [images({ shape: [16, 2 ** 60 + 2] })] },
    /array of integers/,
  ],
  ...Object.fromEntries(
    ['FP16', 'BF16', 'INT8', 'BOOL', 'BYTES', 'float32', ''].map((datatype) => [
      `the datatype '${datatype}'`,
      [{ inputs: [images({ datatype })] }, /must be UINT8 or FP32/],
    ]),
  ),
  'ragged data': [
    {
      inputs: [
        images({
          data: [[...Array.from({ length: 7 }, () => Array.from({ length: 8 }, () => [1, 2, 3])), []]],
        }),
      ],
    },
    /an array of 0 in dimension 2/,
  ],
  'null for a pixel': [
    { inputs: [images({ data: [null, ...data.slice(1)] })] },
    /integer from 0 to 255 at 0/,
  ],
  'null for data': [{ inputs: [images({ data: null })] }, /got null in dimension 0/],
  'too many values': [{ inputs: [images({ data: [...data, 1] })] }, /192 values, flat or nested/],
  'a number for encoded images': [
    { inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [7] }] },
    /must hold a string of base64 at 0, got 7/,
  ],
  'an object for encoded images': [
    { inputs: [{ name: 'image_bytes', datatype: 'BYTES', shape: [1], data: [{ b64: 'aGk=' }] }] },
    /must hold a string of base64 at 0, got an object/,
  ],
  'an input in shared memory': [
    {
      inputs: [
        images({
          data: undefined,
          parameters: { shared_memory_region: 'r', shared_memory_byte_size: SIZE, shared_memory_offset: 0 },
        }),
      ],
    },
    /#\/inputs\/0\/parameters\/shared_memory_region needs shared memory, which is not supported/,
  ],
  'an input in shared memory beside its data': [
    { inputs: [images({ parameters: { shared_memory_region: 'r' } })] },
    /shared_memory_region needs shared memory/,
  ],
  'an output in shared memory': [
    { inputs: [images()], outputs: [{ name: 'logits', parameters: { shared_memory_region: 'r' } }] },
    /#\/outputs\/0\/parameters\/shared_memory_region needs shared memory/,
  ],
  'classes in shared memory': [
    {
      inputs: [images()],
      outputs: [{ name: 'logits', parameters: { shared_memory_region: 'r', classification: 2 } }],
    },
    /shared_memory_region needs shared memory/,
  ],
  'an output twice': [
    { inputs: [images()], outputs: [{ name: 'logits' }, { name: 'probabilities' }, { name: 'logits' }] },
    /#\/outputs\/2\/name output 'logits' already exists in request/,
  ],
  'an output twice, as values and as classes': [
    {
      inputs: [images()],
      outputs: [{ name: 'logits' }, { name: 'logits', parameters: { classification: 1 } }],
    },
    /output 'logits' already exists in request/,
  ],
  'an output that is no object': [
    { inputs: [images()], outputs: ['logits'] },
    /#\/outputs\/0 must be an object/,
  ],
  'a flag of an output that is none': [
    { inputs: [images()], outputs: [{ name: 'logits', parameters: { binary_data: 'yes' } }] },
    /binary_data must be true or false/,
  ],
  ...Object.fromEntries(
    [-1, 'two', true].map((classification) => [
      `classification ${JSON.stringify(classification)}`,
      [
        { inputs: [images()], outputs: [{ name: 'logits', parameters: { classification } }] },
        /classification must be an integer of at least 0/,
      ],
    ]),
  ),
}

describe('refused:', () => {
  it.each(Object.entries(refused))('%s', async (_, [json, says]) => {
    expectForeignError(await infer(json), { status: 400, says })
    expect((await infer({ inputs: [images()] })).status).toBe(200)
  })

  it.each(['-15', 'value', '5abc', '+5', '1.0', '99999999999'])('a header length of %j', async (length) => {
    const headers = { 'inference-header-content-length': length }
    const body = JSON.stringify({ inputs: [images()] })
    expectForeignError(await running.client.upload(INFER, body, undefined, headers), {
      ...{ status: 400, says: /Inference-Header-Content-Length must be/ },
    })
  })

  it.each(['', '/infer', '/ready', '/config', '/stats'])(
    'a version that is not a number; 404 for a version that does not exist: versions/...%s',
    async (rest) => {
      const ask = (model: string, version: string) =>
        rest === '/infer'
          ? infer({ inputs: [images()] }, `/v2/models/${model}/versions/${version}${rest}`)
          : running.client.get(`/v2/models/${model}/versions/${version}${rest}`)
      for (const version of ['HELLO', 'one', '1.0', '-1', '+1', '1e0', '0x1', '%20', '1%20'])
        for (const model of ['net', 'nobody'])
          expectForeignError(await ask(model, version), { status: 400, says: /a version is a number/ })
      expectForeignError(await ask('net', String(2n ** 63n)), {
        status: 400,
        says: /Failed to convert version/,
      })
      for (const version of ['0', '2', '99', String(2n ** 63n - 1n)])
        expectForeignError(await ask('net', version), { status: 404, says: /only version 1 exists/ })
      for (const version of ['1', '01']) expect((await ask('net', version)).status).toBe(200)
    },
  )

  it('invalid repository requests', async () => {
    const act = (what: string, body: string) =>
      running.client.upload(`/v2/repository/models/net/${what}`, body)
    for (const ready of [1, 'true', null, {}, []])
      expectForeignError(await running.client.upload('/v2/repository/index', JSON.stringify({ ready })), {
        ...{ status: 400, says: /#\/ready must be true or false/ },
      })
    expectForeignError(
      await running.client.upload(
        '/v2/repository/index',
        `{"ready":${'['.repeat(25_000)}${']'.repeat(25_000)}}`,
      ),
      { status: 400, says: /parse/ },
    )
    for (const [parameters, says] of [
      [{ unload_dependents: 'yes' }, /unload_dependents must be true or false/],
      [{ unload_dependents: [true] }, /unload_dependents has an invalid type/],
      ['unload_dependents', /#\/parameters must be an object/],
    ] as const)
      expectForeignError(await act('unload', JSON.stringify({ parameters })), { status: 400, says })
  })
})

describe('accepted:', () => {
  it.each([
    ['an empty list of outputs, which requests all', { outputs: [] }],
    ['parameters that change nothing', { parameters: { mine: 'x', priority: 1, timeout: 0 } }],
    [
      'sequence parameters that request none',
      { parameters: { sequence_id: 0, sequence_start: false, sequence_end: false } },
    ],
    ['a sequence identifier that is empty', { parameters: { sequence_id: '' } }],
  ])('%s', async (_, changes) => {
    const wanted = inferenceOf(await infer({ inputs: [images()] }))
    expect(inferenceOf(await infer({ inputs: [images()], ...changes }))).toEqual(wanted)
  })

  it('returns classes as binary data', async () => {
    const parameters = { classification: 2, binary_data: true }
    const answer = await infer({ inputs: [images()], outputs: [{ name: 'logits', parameters }] })
    const length = Number(answer.headers['inference-header-content-length'])
    const { outputs } = JSON.parse(answer.bytes.subarray(0, length).toString()) as { outputs: object[] }
    expect(outputs).toMatchObject([{ name: 'logits', datatype: 'BYTES', shape: [1, 2] }])
    expect(answer.bytes.subarray(length).toString('latin1')).toMatch(/:\d:[a-e]/)
  })
})
